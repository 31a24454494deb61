"""Places to write: tried before hours of work need them, and what a disk refuses is told in one line."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datasets.core.text import readable
from datasets.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What a disk or its permissions answer; anything else, such as too many open files, is a bug of ours.
_REFUSALS = _FULL | {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENXIO, errno.EBUSY, errno.EEXIST,
    errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip
MAKE_ROOM = "free space and start again; what is finished is kept"
CHOOSE = "change its permissions, or choose another place"


class Unwritable(UserError):
    """A place does not take what has to be written. Who mends that starts again, and unfinished work goes on."""


@contextmanager
def writing(place: Path, remedy: str = "") -> Iterator[None]:
    """What the block writes belongs to a place: a file, or a folder with all below it.

    Args:
        remedy: what to do where the place cannot be written; by default another place is to be chosen. A full disk is
            to be freed.

    Raises:
        Unwritable: the place does not take it.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS or not _is_near(error.filename, place):
            raise
        cure = MAKE_ROOM if error.errno in _FULL else CHOOSE
        cure = f"{cure}, or {remedy}" if remedy else cure
        raise Unwritable(f"cannot write {place}: {error.strerror}{_free_at(place)}; {cure}") from error


def open_place(folder: Path, name: str, remedy: str) -> Path:
    """Make a folder if need be, and try it with a small file.

    Args:
        name: of the place, as the message begins: "the cache", "--results".
        remedy: how to choose another one.

    Raises:
        Unwritable: it cannot be made, is something else, or takes no files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"probe")
    except OSError as error:
        full = f"{_free_at(folder)}; free space, or" if error.errno in _FULL else ";"
        raise Unwritable(f"{name} {folder} cannot be used: {error.strerror}{full} {remedy}") from None
    return folder


def locks_work(folder: Path) -> bool:
    """Whether the system locks files of a folder, and frees what a process that died had locked.

    Some network file systems refuse, or have nobody to ask.
    """
    if sys.platform == "win32":
        return True
    import fcntl  # is not there on Windows

    with tempfile.TemporaryFile(dir=folder) as probe:
        try:
            fcntl.flock(probe.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def existing(path: Path) -> Path:
    """The path, or the nearest of its parents that is there."""
    # Unlike Path.exists, this answers for folders that may not be looked into.
    return next((parent for parent in (path, *path.absolute().parents) if os.path.exists(parent)), Path.cwd())  # noqa: PTH110


def _free_at(place: Path) -> str:
    with suppress(OSError):
        return f" ({readable(shutil.disk_usage(existing(place)).free)} free)"
    return ""


def _is_near(filename: object, place: Path) -> bool:
    """Whether a file that an error names is the place, beside it or below it; errors of open files name none."""
    if not isinstance(filename, str | bytes | os.PathLike):
        return True
    path = Path(os.fsdecode(filename)).absolute()
    return path.is_relative_to(place.absolute().parent)
