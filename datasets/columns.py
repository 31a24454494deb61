"""Tables that fit a narrow terminal: columns from the right are left out, words are never cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.cells import cell_len

_ROW = re.compile(r"\s*\|.*\|\s*$")
_BAR = re.compile(r"(?<!\\)\|")
_MARKUP = re.compile(r"\*\*|`|\[(?P<text>[^\]]*)\]\([^)]*\)")


def fitting(rows: Sequence[Sequence[str]], width: int, gap: int) -> int:
    """How many columns fit, counted from the left, where the most telling ones are; at least one.

    Args:
        rows: all cells, the headers among them.
        width: of the terminal, in characters.
        gap: characters between two columns.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    fits = [count for count in range(1, len(widths) + 1) if sum(widths[:count]) + gap * count <= width]
    return max(fits, default=1)


def narrowed(page: str, width: int, gap: int = 3) -> tuple[str, int]:
    """A Markdown page whose tables fit.

    Returns:
        The page, and how many columns were left out of the table that lost most.
    """
    lines: list[str] = []
    most = 0
    for is_table, block in groupby(page.split("\n"), key=lambda line: bool(_ROW.match(line))):
        rows = list(block)
        text, lost = _narrowed_table(rows, width, gap) if is_table else (rows, 0)
        lines += text
        most = max(most, lost)
    return "\n".join(lines), most


def _narrowed_table(lines: list[str], width: int, gap: int) -> tuple[list[str], int]:
    rows = [_cells(line) for line in lines]
    columns = min(map(len, rows))
    shown = [[_as_shown(cell) for cell in row[:columns]] for row in rows if not _is_rule(row)]
    count = fitting(shown, width, gap) if shown else columns
    return list(_written(rows, count)), columns - count


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _BAR.split(line.strip())[1:-1]]


def _is_rule(row: list[str]) -> bool:
    """Whether it is the line below the headers, such as |:---|---:|."""
    return all(set(cell) <= set(":-") for cell in row)


def _as_shown(cell: str) -> str:
    return _MARKUP.sub(lambda match: match["text"] or "", cell)


def _written(rows: list[list[str]], count: int) -> Iterator[str]:
    for row in rows:
        yield f"| {' | '.join(row[:count])} |"
