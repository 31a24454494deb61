"""Decode once: image pools as memory-mapped files that all splits, methods and processes share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from datasets.core.locks import locked
from datasets.core.partial import whole_file
from datasets.core.places import open_place
from datasets.errors import UserError
from datasets.types import Pixels

ENVIRONMENT = "OSMA_BENCH_CACHE"
REMEDY = f"set {ENVIRONMENT} to a folder that can be written and locked"
_BLOCK = 1 << 22  # bytes


def cache_folder() -> Path:
    """Where pools lie: $OSMA_BENCH_CACHE, else the user's cache folder.

    Raises:
        UserError: the user has no home folder, as one without a name may not have.
    """
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        return Path(chosen)
    try:
        return user_cache_path("osma-bench")
    except RuntimeError:
        raise UserError(f"no home folder is known, so there is no place for the cache; {REMEDY}") from None


def open_cache() -> Path:
    """The cache folder, made and tried.

    Raises:
        UserError: it cannot be used.
    """
    return open_place(cache_folder(), "the cache", REMEDY)


def open_pool(key: str, shape: tuple[int, int, int, int], fill: Callable[[Pixels], None]) -> Pixels:
    """A read-only pool (N, H, W, 3), made by `fill` if nobody has made it yet.

    `fill` writes into an unfinished file, which is renamed when it is complete: several processes
    may ask at once (one builds, the others wait) and a killed build leaves nothing that could be
    taken for a pool.

    Args:
        key: names the content; different pixels must have different keys.
        shape: (N, H, W, 3) of the pool.
        fill: writes every image into the array that it is given.

    Raises:
        UserError: the cache cannot be used, or its disk is full.
    """
    path = cache_folder() / f"{key}.npy"
    if not path.is_file():
        with locked(open_cache() / f"{key}.lock", "makes the same images", REMEDY):
            if not path.is_file():
                _build(path, shape, fill)
    pool: Pixels = np.load(path, mmap_mode="r")
    if pool.shape != shape or pool.dtype != np.uint8:
        raise RuntimeError(f"{path} holds {pool.dtype} {pool.shape}, not uint8 {shape}: two recipes share a key")
    return pool


def _build(path: Path, shape: tuple[int, int, int, int], fill: Callable[[Pixels], None]) -> None:
    with whole_file(path, REMEDY) as unfinished:
        pool = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        _reserve(unfinished)
        fill(pool)
        pool.flush()


def _reserve(path: Path) -> None:
    """Take the disk space of a file now: where it is missing under a memory map, the system kills the process."""
    with path.open("r+b") as file:
        left = file.seek(0, os.SEEK_END)
        file.seek(0)
        header = file.read(min(left, _BLOCK))
        file.seek(0)
        file.write(header)
        while (left := left - len(header)) > 0:
            header = bytes(min(left, _BLOCK))
            file.write(header)
