"""Text of files that users bring, and pieces of it in messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from datasets.errors import UserError


def utf8(content: bytes, path: Path) -> str:
    """Decode; a byte-order mark is dropped.

    Raises:
        UserError: with the line of the first byte that is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise UserError(f"{path}:{line}: byte {byte:#04x} is not UTF-8; save the file as UTF-8") from None


def shown(text: str) -> str:
    """Text in quotes, control characters made visible, the end of long text cut off."""
    return repr(shortened(text))


def shortened(text: str) -> str:
    """Text of a message, the end of long text cut off."""
    return text if len(text) <= 120 else f"{text[:117]}..."


def did_you_mean(word: str, among: Iterable[str]) -> str:
    """`; did you mean 'pose'?` where a known word is near a misspelt one, else nothing."""
    near = difflib.get_close_matches(word, list(among), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def readable(count: int) -> str:
    """A number of bytes for people: 1536 is "1.5 KiB"."""
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}" if unit != "bytes" else f"{count} bytes"
