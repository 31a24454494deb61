"""Files that hold others off while something is made; the system frees those of a process that died."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from datasets.console import note
from datasets.core.places import Unwritable, writing


@contextmanager
def locked(path: Path, busy: str, remedy: str) -> Iterator[None]:
    """The block runs while no other process is in one of the same lock; who has to wait is told so.

    Args:
        path: of the lock file.
        busy: what the other process does, as in "makes the same images".
        remedy: how to choose a place whose files can be locked.

    Raises:
        Unwritable: files cannot be locked there.
    """
    lock = FileLock(path)
    try:
        with writing(path, remedy):
            _acquire(lock, busy)
    except Unwritable:
        raise
    except (OSError, NotImplementedError) as error:  # a network file system without locks
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "locks are not supported"
        raise Unwritable(f"files of {path.parent} cannot be locked ({reason}); {remedy}") from None
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, busy: str) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        note(f"waiting for another process, which {busy}")
        lock.acquire()
