"""What checks find: one line each, how bad it is, and what that means for the exit status."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Literal, NamedTuple, TypeVar

from rich.table import Table
from rich.text import Text

from datasets.errors import UserError

Row = TypeVar("Row", bound=Hashable)
Status = Literal["ok", "note", "warning", "error"]

EXIT: dict[Status, int] = {"ok": 0, "note": 0, "warning": 1, "error": 2}
COLOUR: dict[Status, str] = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "red"}


class Finding(NamedTuple):
    """The outcome of one check in one place.

    Attributes:
        check: its name, such as "labels".
        where: a split or a data set.
        status: "note" is worth knowing and no reason to worry; "warning": figures need a caveat; "error": unusable.
        message: what was found, and the remedy where there is one.
    """

    check: str
    where: str
    status: Status
    message: str


def exit_of(findings: Iterable[Finding]) -> int:
    """0 clean, 1 warnings, 2 unusable."""
    return max((EXIT[finding.status] for finding in findings), default=0)


def attempted(check: str, where: str, attempts: Iterable[Callable[[], object]], good: str) -> list[Finding]:
    """Make attempts that raise UserError where something is wrong: an error for each, or one "ok" that says `good`."""
    mistakes: list[Finding] = []
    for attempt in attempts:
        try:
            attempt()
        except UserError as error:
            mistakes.append(Finding(check, where, "error", str(error)))
    return mistakes or [Finding(check, where, "ok", good)]


def findings_table(findings: Iterable[Finding]) -> Table:
    """One row per finding; what was found in several places in the same words is one row."""
    table = Table("check", "where", "status", "what", box=None)
    rows = [(finding.where, (finding.check, finding.status, finding.message)) for finding in findings]
    for where, (check, status, message) in merged(rows):
        table.add_row(Text(check), Text(where), Text(status, COLOUR[status]), Text(message))
    return table


def merged(rows: Iterable[tuple[str, Row]]) -> list[tuple[str, Row]]:
    """Equal rows of several places become one, in the order of their first places."""
    places: dict[Row, list[str]] = {}
    for where, row in rows:
        places.setdefault(row, []).append(where)
    return [(", ".join(where), row) for row, where in places.items()]
