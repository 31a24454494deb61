"""Splits, numbers and names as people write them on the command line."""

from __future__ import annotations

import re

from datasets.core.text import shortened
from datasets.errors import UserError
from datasets.types import Dataset

MOST = 10_000  # numbers in a list; more is a slip of the finger
DIGITS = 18  # of a number; what 64 bits hold


def split_list(text: str | None, dataset: Dataset) -> list[str]:
    """Split names from `1`, `1-5`, `split1` or names separated by commas; without a text, the counted ones.

    Raises:
        UserError: the data set has no such split.
    """
    if text is None:
        return list(dataset.split_names)
    names: list[str] = []
    for part in map(str.strip, text.split(",")):
        numbered = part not in dataset.all_splits and re.fullmatch(r"[0-9]+(-[0-9]+)?", part)
        names += [f"split{number}" for number in number_list(part, "--splits")] if numbered else [part]
    for name in names:
        if name not in dataset.all_splits:
            has = f"it has {', '.join(dataset.all_splits)}"
            raise UserError(f"--splits {shortened(text)}: {dataset.name} has no '{shortened(name)}'; {has}")
    return list(dict.fromkeys(names))


def number_list(text: str, option: str) -> list[int]:
    """Numbers from `0`, `0-2` or `0,3`.

    Raises:
        UserError: the text has another form, or a range runs backwards.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r" *([0-9]+)(?:-([0-9]+))? *", part)
        if match is None:
            raise UserError(f"{option} {shortened(text)}: write numbers such as 0, 0-2 or 0,3".replace("\n", "\\n"))
        if max(map(len, filter(None, match.groups()))) > DIGITS:
            raise UserError(f"{option} {shortened(text)}: a number has more than {DIGITS} digits; write a smaller one")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UserError(f"{option} {text}: the range {part.strip()} runs backwards")
        if len(numbers) + last - first >= MOST:
            raise UserError(f"{option} {shortened(text)}: more than {MOST:,} numbers; write a shorter range")
        numbers += range(first, last + 1)
    return list(dict.fromkeys(numbers))


def word_list(text: str, option: str) -> list[str]:
    """Names from `a` or `a,b`, as often as they stand there.

    Raises:
        UserError: the text holds no name.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UserError(f"{option} '{text}' is empty; write names with commas between")
    return words
