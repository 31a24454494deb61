"""JSON of ours that may come back from strangers: every trap is a ValueError of one line."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from datasets.core.outside import read_file
from datasets.core.text import shown

LARGEST = 64 << 20  # bytes
DEEPEST = 64  # lists and mappings within one another; ours have fewer than ten
DIGITS = 20  # of a whole number; 64 bits have no more


def read_json(path: Path) -> Any:
    """The value of a file that lies in a folder of ours, which no link may lead out of.

    Raises:
        OSError: it cannot be read, or is no plain file of a sensible size; `strerror` says why.
        ValueError: as `parse_json`.
    """
    return parse_json(read_file(path, LARGEST, below=path.parent))


def parse_json(text: str | bytes, finite: bool = True) -> Any:
    """A JSON value.

    Args:
        finite: refuse NaN and infinity, which standard JSON has no words for.

    Raises:
        ValueError: it is no JSON, nested too deeply, names a key twice, or holds a number that nothing of ours has.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_each_once,
            parse_int=_whole,
            parse_float=partial(_float, finite=finite),
            parse_constant=_refused if finite else None,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.object[error.start]:#04x} is not UTF-8") from None
    if _deeper_than(value, DEEPEST):
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {shown(next(name for name in names if names.count(name) > 1))} stands twice")
    return found


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)


def _float(text: str, finite: bool) -> float:
    value = float(text)
    if finite and math.isinf(value):
        raise ValueError(f"number {shown(text)} is too large")
    return value


def _refused(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _deeper_than(value: Any, most: int) -> bool:
    """Whether lists and mappings lie deeper in one another, found without recursion."""
    level = [value]
    for _ in range(most):
        inner = [entry for outer in level if isinstance(outer, list) for entry in outer]
        inner += [entry for outer in level if isinstance(outer, dict) for entry in outer.values()]
        if not inner:
            return False
        level = inner
    return any(isinstance(entry, (dict, list)) for entry in level)
