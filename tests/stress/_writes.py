"""Every write of this process, counted as it comes: files opened, made, renamed, filled and flushed."""

from __future__ import annotations

import builtins
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Heed = Callable[[str], None]

_CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_open, _fsync = io.open, os.fsync


def watch(folder: Path, heed: Heed, removals: bool = True) -> None:
    """Call `heed` with the name of each write below a folder, before it happens; for the rest of this process.

    Args:
        heed: may raise, and the write fails; may end the process.
        removals: whether to remove a file counts; a full disk does not forbid it.
    """
    changes = _CHANGES if removals else _CHANGES - {"os.remove", "os.rmdir"}
    root = os.fspath(folder)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if (event in changes or (event == "open" and _is_for_writing(arguments))) and _below(arguments[0], root):
            heed(event)

    def heeded_open(file: Any, mode: str = "r", *rest: Any, **options: Any) -> IO[Any]:
        stream = _open(file, mode, *rest, **options)
        if set(mode) & set("wax+") and _below(file, root):
            _heed_writes(stream, heed)
        return stream

    def heeded_fsync(descriptor: int) -> None:
        heed("fsync")
        _fsync(descriptor)

    sys.addaudithook(hook)
    builtins.open = io.open = heeded_open  # type: ignore[assignment]
    os.fsync = heeded_fsync  # type: ignore[assignment]


def _is_for_writing(arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _below(file: Any, root: str) -> bool:
    return isinstance(file, str | os.PathLike) and os.fspath(file).startswith(root)


def _heed_writes(stream: Any, heed: Heed) -> None:
    """Writes of a stream are heeded from now on, by a method of its own in the place of its class's."""
    write = stream.write

    def heeded(data: Any) -> int:
        heed("write")
        return int(write(data))

    try:
        stream.write = heeded
    except AttributeError:  # a binary stream of C has no place for it; its opening and flushing are heeded
        return
