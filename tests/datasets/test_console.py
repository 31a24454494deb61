"""What is written to the terminal, and to what is none."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from datasets import console as terminal
from datasets.console import note, say, show_markdown, show_rows, warn

LONG = "a line with [brackets] and [/b] " + "of many words " * 30


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 100 columns that is a string."""
    stream = io.StringIO()
    fake = Console(file=stream, force_terminal=True, color_system=None, width=100, highlight=False, soft_wrap=True)
    monkeypatch.setattr(terminal, "console", fake)
    return stream


def test_lines_are_neither_wrapped_nor_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    say(LONG)
    warn(LONG)
    note(LONG)
    output = capsys.readouterr()
    assert output.out == f"{LONG}\n"
    assert output.err == f"warning: {LONG}\n{LONG}\n"


def test_a_page_is_printed_as_it_is_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    page = f"# Board\n\n| a | b |\n|---|---|\n| **1** | {LONG} |\n"
    show_markdown(page)
    assert capsys.readouterr().out == f"{page}\n"


def test_a_page_is_rendered_on_a_terminal(screen: io.StringIO) -> None:
    show_markdown("# Board\n\n| name | value |\n|---|---|\n| one | **1** |\n")
    text = screen.getvalue()
    assert "Board" in text
    assert "**" not in text
    assert "|---" not in text


def test_a_table_has_a_line_a_row_however_wide_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows("title", ["name", "text"], [["a", LONG], ["[b]", "001"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["title", "name    text"]
    assert lines[2] == f"a       {LONG.rstrip()}"
    assert lines[3] == "[b]     001"


def test_a_table_on_a_terminal_shows_brackets_as_they_are(screen: io.StringIO) -> None:
    show_rows("title", ["name"], [["[red]x[/red]"]])
    assert "[red]x[/red]" in screen.getvalue()
