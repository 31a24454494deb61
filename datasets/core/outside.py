"""Files that a user or a stranger gives: plain files of a bounded size; all else is refused before it is opened."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

# Read as if they were files, these wait for ever, never end, or change the machine.
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def read_file(path: Path, most: int, below: Path | None = None) -> bytes:
    """The content of a plain file.

    Args:
        most: bytes; a larger file is refused.
        below: the folder that a link must not lead out of; None lets it lead anywhere.

    Raises:
        OSError: it cannot be read or is refused; `strerror` says why in words.
    """
    with open_file(path, below) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise refusal(path, f"it has more than {most:,} bytes")
    return content


def open_file(path: Path, below: Path | None = None) -> BinaryIO:
    """Open a plain file for reading; arguments and errors are those of `read_file`."""
    check_plain(path, below)
    return path.open("rb")


def check_plain(path: Path, below: Path | None = None) -> None:
    """Refuse what is no plain file; errors are those of `read_file`."""
    try:
        mode = path.stat().st_mode
    except ValueError:  # a zero byte
        raise refusal(path, "no file can have this name") from None
    if not stat.S_ISREG(mode):
        raise refusal(path, f"it is {_KINDS.get(stat.S_IFMT(mode), 'no plain file')}, not a file")
    if below is not None and leads_out(path, below):
        raise refusal(path, "it is a link that leads out of its folder")


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path, with its links followed, lies elsewhere than below a folder."""
    top = os.path.realpath(folder)
    return os.path.commonpath((top, os.path.realpath(path))) != top


def refusal(path: Path, reason: str) -> OSError:
    """What is raised of a file that could be read and must not be."""
    return OSError(errno.EINVAL, reason, str(path))
