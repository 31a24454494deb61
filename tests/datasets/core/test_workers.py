"""Work in chunks, and worker processes that loky replaces."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from joblib import Parallel, delayed

from datasets.core import workers as module
from datasets.core.workers import chunk_by_chunk, replaced_workers

_kept: list[bytearray] = []


def grow(megabytes: int) -> int:
    """Keep so much memory, and last longer than loky waits between two looks at it."""
    _kept.append(bytearray(os.urandom(1024) * (1024 * megabytes)))
    time.sleep(1.2)
    return os.getpid()


def doubled(numbers: Sequence[int]) -> tuple[int, list[int]]:
    return os.getpid(), [2 * number for number in numbers]


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "several processes"])
def test_every_chunk_is_worked_on_once(alone: bool, in_order: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALONE", 1000 if alone else 1)
    monkeypatch.setattr(module, "CHUNK", 3)
    done = list(chunk_by_chunk(doubled, range(10), in_order))
    expected = [[0, 2, 4], [6, 8, 10], [12, 14, 16], [18]]
    assert [numbers for _, numbers in done] == expected or not in_order
    assert sorted(numbers for _, numbers in done) == expected
    assert ({process for process, _ in done} == {os.getpid()}) == alone


def test_a_part_of_many_items_is_shared_out_as_the_whole_would_be() -> None:
    assert {process for process, _ in chunk_by_chunk(doubled, range(2))} == {os.getpid()}
    assert os.getpid() not in {process for process, _ in chunk_by_chunk(doubled, range(2), among=1000)}


def test_no_items_make_no_chunks() -> None:
    assert list(chunk_by_chunk(doubled, [])) == []


def test_a_worker_that_has_grown_is_replaced_without_a_word() -> None:
    with replaced_workers():
        workers = list(Parallel(2, pre_dispatch="n_jobs", return_as="generator")(delayed(grow)(400) for _ in range(6)))
    assert len(set(workers)) > 2


def test_other_warnings_are_heard() -> None:
    with replaced_workers(), pytest.warns(UserWarning, match="broken"):
        warnings.warn("a disk is broken", UserWarning, stacklevel=1)


# Blocked signals stand in /proc for every thread; a set bit 1 is SIGINT.
DEAF = """
import re
from pathlib import Path
from joblib import Parallel, delayed
from datasets.core.workers import begun

def deaf():
    return {int(re.search(r"SigBlk:\\s*(\\w+)", task.read_text())[1], 16) >> 1 & 1
            for task in Path("/proc/self/task").glob("*/status")}

if __name__ == "__main__":
    heard = begun(Parallel(2, return_as="generator_unordered"), (delayed(deaf)() for _ in range(6)))
    print(list(heard) == [{1}] * 6, 0 in deaf())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which signals a thread hears")
def test_workers_do_not_hear_control_c_and_their_parent_does(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(DEAF)
    words = [sys.executable, str(tmp_path / "program.py")]
    where = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run(words, capture_output=True, text=True, check=False, env=where)
    assert (ended.stdout, ended.stderr) == ("True True\n", "")
