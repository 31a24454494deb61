"""Where a cell comes from."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmark.cells import provenance
from tests.benchmark.toy import planned


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_checkout_is_read_and_never_written(tmp_path: Path, registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=n", "-c", "user.email=e"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("as it was")
    git("add", "file")
    git("commit", "-m", "one")
    os.utime(tmp_path / "file", (1, 1))  # git would note the new time in its index, under a lock
    index = tmp_path / ".git" / "index"
    before = index.read_bytes()
    monkeypatch.setattr(provenance, "_CHECKOUT", tmp_path)
    made = provenance.provenance(planned(registry, "nearest", splits=("split1",))[0], None)
    assert made.commit is not None and len(made.commit) == 40
    assert made.dirty is False
    assert index.read_bytes() == before
