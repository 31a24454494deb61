"""Files and folders that appear whole or not at all: filled under another name, flushed, renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datasets.core.places import writing


def partial_of(path: Path) -> Path:
    """The name under which a file or folder is filled, in the same folder so that renaming is one step."""
    return path.with_name(f".{path.name}.partial")


def drop_partials(folder: Path) -> None:
    """Remove what processes that were killed left half written in a folder; for whoever alone writes there."""
    for path in folder.glob(partial_of(Path("*")).name):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path, remedy: str = "") -> Iterator[Path]:
    """A file to fill, which takes the place of `path` when the block ends well and goes when it does not.

    Its folder is made if need be. A link, a pipe or a device, such as /dev/stdout, is not replaced but filled itself.

    Args:
        remedy: what else may help where the place cannot be written.

    Raises:
        Unwritable: the place does not take it; what was there before is untouched.
    """
    with writing(path, remedy):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = partial_of(path)
        try:
            yield unfinished
            flush(unfinished)
            unfinished.replace(path)
        finally:
            with suppress(OSError):  # of which the one that brought us here tells more
                unfinished.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(path: Path, remedy: str = "") -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `path` when the block ends well and goes when it does not.

    Args:
        remedy: what else may help where the place cannot be written.

    Raises:
        Unwritable: the place does not take it; what was there before is untouched.
    """
    unfinished = partial_of(path)
    with writing(path, remedy):
        shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
        unfinished.mkdir(parents=True)
        try:
            yield unfinished
            flush_folder(unfinished)
            put_in_place(unfinished, path)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def put_in_place(filled: Path, path: Path) -> None:
    """Rename a filled folder to `path`; an old one there goes then, and comes back if the name cannot be taken."""
    old = path.with_name(f".{path.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)  # of a process that was killed
    with moved_away(path, old):
        filled.rename(path)
    shutil.rmtree(old, ignore_errors=True)
    flush(path.parent)


@contextmanager
def moved_away(path: Path, to: Path) -> Iterator[None]:
    """A folder, if it is there, has another name from now on, unless the block fails to put something in its place."""
    there = path.exists()
    if there:
        path.rename(to)
    try:
        yield
    except BaseException:
        if there and not path.exists():
            to.rename(path)
        raise


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
