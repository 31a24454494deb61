"""Who computes a cell: two runs on one results folder share its work, and none does what the other has in hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.cells.cell import Cell
from benchmark.cells.store import Store
from datasets.core.places import locks_work, writing

CLAIMS = ".claims"
_POLL_SECONDS = 0.2


def claim_file(store: Store, cell: Cell) -> Path:
    """An empty file that is locked while the cell is computed, under whatever settings.

    It stays when the cell is finished: who deletes a lock file takes it from those who wait for it.
    """
    place = store.root / CLAIMS / cell.path.in_results
    return place.with_name(f"{place.name}.lock")


def can_claim(store: Store) -> bool:
    """Whether the file system of the results has locks; without them every cell is anybody's."""
    with writing(store.root):
        store.root.mkdir(parents=True, exist_ok=True)
        return locks_work(store.root)


@contextmanager
def claimed(store: Store, cell: Cell, wait: bool = False) -> Iterator[bool]:
    """Whether the cell is ours while the block runs; the system takes the claim back when the process dies.

    Args:
        wait: until whoever computes it now has ended.

    Raises:
        Unwritable: the claim cannot be written.
    """
    if not can_claim(store):
        yield True
        return
    path = claim_file(store, cell)
    lock = FileLock(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        ours = _taken(lock, wait)
    try:
        yield ours
    finally:
        if ours:
            lock.release()


def _taken(lock: FileLock, wait: bool) -> bool:
    try:
        lock.acquire(timeout=-1 if wait else 0, poll_interval=_POLL_SECONDS)
    except Timeout:
        return False
    return True
