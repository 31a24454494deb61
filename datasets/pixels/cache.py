"""Decode once: image pools as memory-mapped files that all splits, methods and processes share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock
from platformdirs import user_cache_path

from datasets.core.partial import whole_file
from datasets.types import Pixels

ENVIRONMENT = "OSMA_BENCH_CACHE"


def cache_folder() -> Path:
    """Where pools lie: $OSMA_BENCH_CACHE, else the user's cache folder."""
    chosen = os.environ.get(ENVIRONMENT)
    return Path(chosen) if chosen else user_cache_path("osma-bench")


def open_pool(key: str, shape: tuple[int, int, int, int], fill: Callable[[Pixels], None]) -> Pixels:
    """A read-only pool (N, H, W, 3), made by `fill` if nobody has made it yet.

    `fill` writes into an unfinished file, which is renamed when it is complete: several processes
    may ask at once (one builds, the others wait) and a killed build leaves nothing that could be
    taken for a pool.

    Args:
        key: names the content; different pixels must have different keys.
        shape: (N, H, W, 3) of the pool.
        fill: writes every image into the array that it is given.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key}.npy"
    if not path.is_file():
        with FileLock(folder / f"{key}.lock"):
            if not path.is_file():
                _build(path, shape, fill)
    pool: Pixels = np.load(path, mmap_mode="r")
    if pool.shape != shape or pool.dtype != np.uint8:
        raise RuntimeError(f"{path} holds {pool.dtype} {pool.shape}, not uint8 {shape}: two recipes share a key")
    return pool


def _build(path: Path, shape: tuple[int, int, int, int], fill: Callable[[Pixels], None]) -> None:
    with whole_file(path) as unfinished:
        pool = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        fill(pool)
        pool.flush()
