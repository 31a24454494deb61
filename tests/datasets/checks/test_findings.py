"""How bad findings are together, and how they are shown."""

from __future__ import annotations

import pytest
from rich.console import Console

from datasets.checks.findings import Finding, attempted, exit_of, findings_table, merged
from datasets.errors import UserError


@pytest.mark.parametrize(("statuses", "expected"), [
    ((), 0), (("ok", "note"), 0), (("ok", "warning", "note"), 1), (("error", "warning"), 2),
])  # fmt: skip
def test_the_worst_finding_decides(statuses: tuple[str, ...], expected: int) -> None:
    assert exit_of([Finding("a", "b", status, "") for status in statuses]) == expected  # type: ignore[arg-type]


def test_every_attempt_is_made_and_every_mistake_kept() -> None:
    made: list[int] = []

    def attempt(number: int) -> None:
        made.append(number)
        if number % 2:
            raise UserError(f"{number} is odd")

    mistakes = attempted("parity", "here", [lambda n=n: attempt(n) for n in range(4)], "all even")  # type: ignore[misc]
    assert made == [0, 1, 2, 3]
    assert [(finding.status, finding.message) for finding in mistakes] == [("error", "1 is odd"), ("error", "3 is odd")]
    assert attempted("parity", "here", [], "all even") == [Finding("parity", "here", "ok", "all even")]


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        attempted("bug", "here", [lambda: 1 // 0], "")


def test_equal_rows_are_shown_once() -> None:
    rows = [("s1", "x"), ("s1", "y"), ("s2", "x"), ("s3", "x"), ("s2", "y")]
    assert merged(rows) == [("s1, s2, s3", "x"), ("s1, s2", "y")]


def test_brackets_in_messages_are_no_markup() -> None:
    screen = Console(width=80, color_system=None)
    with screen.capture() as shown:
        screen.print(findings_table([Finding("names", "s1", "warning", "see [red]this[/red]")]))
    assert "[red]this[/red]" in shown.get()
