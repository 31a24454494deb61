"""Files and folders that appear whole or not at all: filled under another name, flushed, renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def partial_of(path: Path) -> Path:
    """The name under which a file or folder is filled, in the same folder so that renaming is one step."""
    return path.with_name(f".{path.name}.partial")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to fill, which takes the place of `path` when the block ends well and goes when it does not.

    A link, a pipe or a device, such as /dev/stdout, is not replaced but filled itself.

    Raises:
        OSError: the place cannot be written; what was there before is untouched.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        yield path
        return
    unfinished = partial_of(path)
    try:
        yield unfinished
        flush(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `path` when the block ends well and goes when it does not."""
    unfinished = partial_of(path)
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        flush_folder(unfinished)
        shutil.rmtree(path, ignore_errors=True)
        unfinished.rename(path)
        flush(path.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Force every file of a folder, and the folder itself, to the disk."""
    for path in [*folder.rglob("*"), folder]:
        flush(path)


def flush(path: Path) -> None:
    """Force one file or folder to the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
