"""Short versions of the attacks; the long ones are `python -m tests.stress KIND`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stress.__main__ import kinds
from tests.stress._tally import Tally

ROOT = Path(__file__).parents[2]

posix = pytest.mark.skipif(os.name != "posix", reason="copies of a process and signals are needed")


@posix
@pytest.mark.parametrize(("kind", "count"), [("kills", 4), ("disk", 6), ("interrupts", 5)])
def test_nothing_is_lost(kind: str, count: int) -> None:
    words = [sys.executable, "-m", "tests.stress", kind, "--count", str(count), "--seed", "3"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1].split() == ["all", str(count), str(count), "0"]


def test_a_kind_is_a_file() -> None:
    assert {"disk", "interrupts", "kills"} <= set(kinds())
    assert not [kind for kind in kinds() if kind.startswith(("_", "test_"))]


def test_a_loss_is_told_counted_and_changes_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    tally.add("here", [])
    assert tally.report() == 0
    tally.add("here", ["a cell was lost", "a mark was left"])
    assert tally.report() == 1
    output = capsys.readouterr().out
    assert "LOST here: a cell was lost; a mark was left\n" in output
    assert output.splitlines()[-1].split() == ["all", "2", "1", "1"]
