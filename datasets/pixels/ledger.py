"""Which row of a store of pixels holds which image: a file of JSON lines that only grows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from datasets.errors import UserError

SKIPPED = -1  # the row of an unreadable image that the user chose to do without
LONGEST_LINE = 1 << 16  # bytes


class Stamp(NamedTuple):
    """What tells cheaply that a file is still the same.

    Size and time of change can be restored by whoever changes a file; the system's own mark cannot be set. What no
    stamp can tell is a change beneath the file system (a damaged disk), under a clock that was set back, or of equal
    size within one tick of the clock (some milliseconds); `python -m datasets check --pixels` reads everything again.
    """

    size: int  # in bytes
    changed: int  # time of change of the content, in nanoseconds
    mark: int | None = None  # of the system; None in what earlier releases wrote

    def fits(self, now: Stamp) -> bool:
        """Whether a file with the stamp `now` is taken for the one that has this stamp."""
        return self[:2] == now[:2] and self.mark in (None, now.mark)


class Entry(NamedTuple):
    """What the ledger says of an image."""

    row: int
    stamp: Stamp
    flags: tuple[str, ...]  # what was odd about its file
    reason: str  # why it is skipped
    digest: str = ""  # of its pixels; "" if it is skipped, and in what earlier releases wrote


class Ledger:
    """Entries by name of the image; the last line of an image counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._length = 0  # of the file when it was read
        self._entries: dict[str, Entry] = {}

    def read(self) -> Mapping[str, Entry]:
        """All entries.

        Raises:
            UserError: the file is damaged.
        """
        length = self.path.stat().st_size if self.path.is_file() else 0
        if length != self._length:
            content = self.path.read_bytes() if length else b""
            self._entries = self._parse(content[: content.rfind(b"\n") + 1])
            self._length = length
        return self._entries

    def append(self, entries: Mapping[str, Entry]) -> None:
        """Add entries; for the holder of the lock alone, and after their pixels have reached the disk."""
        lines = (json.dumps([name, *entry]) + "\n" for name, entry in entries.items())
        with self.path.open("ab") as file:
            file.write("".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def mend(self) -> None:
        """Cut off the half line that a killed process may have left; for the holder of the lock alone."""
        with self.path.open("ab+") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - LONGEST_LINE))
            tail = file.read()
            file.truncate(length - len(tail) + tail.rfind(b"\n") + 1)

    def _parse(self, lines: bytes) -> dict[str, Entry]:
        try:
            # One call for the whole file: ten times as fast as one per line.
            rows = json.loads(b"[" + lines.rstrip(b"\n").replace(b"\n", b",") + b"]")
            return {
                name: Entry(row, Stamp(*stamp), tuple(flags), why, *digest)
                for name, row, stamp, flags, why, *digest in rows
            }
        except (ValueError, TypeError):
            raise UserError(f"{self.path} is damaged; delete it, and the images are decoded again") from None


def stamp_of(path: str) -> Stamp:
    """The stamp of a file; one that no file has if it cannot be looked at."""
    try:
        facts = os.stat(path)  # noqa: PTH116 (300,000 of Path take seconds)
    except (OSError, ValueError):
        return Stamp(-1, -1, -1)
    # Changed by every change of the file, its name or its rights. Windows keeps the time of creation there instead; its
    # number of the file is another one for a file that takes the place of this one.
    mark = facts.st_ino if os.name == "nt" else facts.st_ctime_ns
    return Stamp(facts.st_size, facts.st_mtime_ns, mark)
