"""A short run over malformed inputs of every kind; the long one is `python -m tests.stress malformed`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.stress.malformed import KINDS, attempt_kind

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and links need another system")

COUNTS = {"stored cell": 100, "command line": 40}  # the others are quicker


@pytest.mark.parametrize("name", KINDS)
def test_malformed_input_is_read_or_refused_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSMA_BENCH_CACHE", str(tmp_path / "cache"))
    tally = attempt_kind(KINDS[name], COUNTS.get(name, 60), number=0, folder=tmp_path)
    assert tally.lost == []
    assert tally.tried >= 20
