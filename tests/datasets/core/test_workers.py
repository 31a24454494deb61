"""Work in chunks, and worker processes that loky replaces."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence

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
