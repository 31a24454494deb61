"""Worker processes that loky replaces."""

from __future__ import annotations

import os
import time
import warnings

import pytest
from joblib import Parallel, delayed

from datasets.core.workers import replaced_workers

_kept: list[bytearray] = []


def grow(megabytes: int) -> int:
    """Keep so much memory, and last longer than loky waits between two looks at it."""
    _kept.append(bytearray(os.urandom(1024) * (1024 * megabytes)))
    time.sleep(1.2)
    return os.getpid()


def test_a_worker_that_has_grown_is_replaced_without_a_word() -> None:
    with replaced_workers():
        workers = list(Parallel(2, pre_dispatch="n_jobs", return_as="generator")(delayed(grow)(400) for _ in range(6)))
    assert len(set(workers)) > 2


def test_other_warnings_are_heard() -> None:
    with replaced_workers(), pytest.warns(UserWarning, match="broken"):
        warnings.warn("a disk is broken", UserWarning, stacklevel=1)
