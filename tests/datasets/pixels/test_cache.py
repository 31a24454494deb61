"""Pools are built once, whole or not at all, also when several processes ask."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from datasets.pixels.cache import ENVIRONMENT, cache_folder, open_pool

SHAPE = (3, 2, 2, 3)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    return tmp_path


def test_the_folder_can_be_chosen(folder: Path) -> None:
    assert cache_folder() == folder


def test_a_pool_is_filled_once_and_read_only() -> None:
    calls = []

    def fill(pool: np.ndarray) -> None:
        calls.append(1)
        pool[:] = 7

    first, second = open_pool("once", SHAPE, fill), open_pool("once", SHAPE, fill)
    assert len(calls) == 1 and (first == 7).all() and np.array_equal(first, second)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1


def test_a_build_that_stops_half_way_is_never_taken_for_a_pool() -> None:
    def half(pool: np.ndarray) -> None:
        pool[0] = 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_pool("half", SHAPE, half)
    whole = open_pool("half", SHAPE, lambda pool: pool.fill(2))
    assert (whole == 2).all()


def test_a_key_that_names_two_shapes_is_a_bug() -> None:
    open_pool("key", SHAPE, lambda pool: pool.fill(0))
    with pytest.raises(RuntimeError, match="share a key"):
        open_pool("key", (4, 2, 2, 3), lambda pool: pool.fill(0))


def build(folder: Path, number: int) -> None:
    def fill(pool: np.ndarray) -> None:
        with (folder / "builds.txt").open("a") as file:
            file.write(f"{number}\n")
        pool[:] = 5

    assert (open_pool("shared", SHAPE, fill) == 5).all()


def test_processes_that_ask_at_once_build_once(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=build, args=(folder, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len((folder / "builds.txt").read_text().splitlines()) == 1
