"""What is written to the terminal, and to what is none."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from datasets import console as terminal
from datasets.console import exit_status, note, say, show_markdown, show_rows, warn

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


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_characters_that_a_terminal_lacks_are_replaced(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    output, errors = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", errors)

    def main() -> None:
        say("AUC ↑ 日本")
        note("AUC ↑")
        show_markdown("| AUC ↑ |")

    assert exit_status(main) == 0
    shown = [stream.buffer.getvalue() for stream in (output, errors) if stream.flush() is None]  # type: ignore[attr-defined]
    assert shown == [b"AUC ? ??\n| AUC ? |\n", b"AUC ?\n"]


def test_a_narrow_terminal_gets_fewer_columns_and_is_told_which_are_missing(screen: io.StringIO) -> None:
    rows = [["pose", "word " * 8, "word " * 9, "last"]]
    show_rows("plan", ["method", "first", "second", "third"], rows)
    text = screen.getvalue()
    assert "second" in text and "last" not in text.splitlines()[2]
    assert "left out for want of width: third; send the output to a file, or widen the terminal, to see all" in text


def test_a_page_on_a_narrow_terminal_loses_columns_and_no_words(screen: io.StringIO) -> None:
    page = f"| name | {'a' * 60} | {'b' * 60} |\n|---|---|---|\n| x | 1 | 2 |\n"
    show_markdown(page, "board/README.md")
    text = screen.getvalue()
    assert "a" * 60 in text and "b" * 10 not in text
    assert "up to 1 columns of a table are left out for want of width; all are in board/README.md" in text
