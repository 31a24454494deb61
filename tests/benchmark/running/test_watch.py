"""What is shown, with and without a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmark.cells.store import Store, write_json
from benchmark.running import watch as shown
from benchmark.running.execute import PROGRESS, STARTED, Outcome, load_progress
from benchmark.running.watch import Watch, say, show_markdown, show_rows, warn
from datasets import console as terminal
from tests.benchmark.rows import row_cell

LONG = "a line with [brackets] and [/b] " + "of many words " * 30


@pytest.fixture
def cell():
    return row_cell("nearest", split="[b]odd[/b]")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "my results")


@pytest.fixture
def screen(monkeypatch):
    """A terminal of 100 columns that is a string."""
    stream = io.StringIO()
    fake = Console(file=stream, force_terminal=True, color_system=None, width=100, highlight=False, soft_wrap=True)
    for module in (terminal, shown):
        monkeypatch.setattr(module, "errors", fake)
        monkeypatch.setattr(module, "console", fake)
    return stream


def at_work(store, cell, marked=True):
    """As a worker leaves it: six of eight steps of the second of four epochs are done."""
    scratch = store.scratch(cell)
    scratch.mkdir(parents=True)
    write_json(scratch / PROGRESS, {"stage": "[i]fit", "epoch": 1, "epochs": 4, "step": 6, "steps": 8})
    if marked:
        (scratch / STARTED).touch()


def test_without_a_terminal_each_cell_that_ends_is_a_line_and_nothing_else_is_shown(store, cell, capsys):
    at_work(store, cell)
    with Watch([cell, cell], store).running() as watch:
        watch.told(Outcome(cell, "done", 1.25))
        watch.told(Outcome(cell, "failed", 61, "ValueError: [no] luck"))
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "done     nearest  [b]odd[/b]  seed 0  1.2 s  (1/2)",
        "failed   nearest  [b]odd[/b]  seed 0  61.0 s  (1/2)",
        "         ValueError: [no] luck",
        f"         log: {store.folder(cell)}/run.log",
    ]


def test_on_a_terminal_the_cells_at_work_are_shown_with_stage_and_epoch(store, cell, screen):
    at_work(store, cell)
    with Watch([cell], store).running():
        pass
    text = screen.getvalue()
    assert "nearest  [b]odd[/b]  seed 0  [i]fit" in text
    assert "1/4" in text
    assert "0/1" in text


def test_what_an_interrupted_run_left_is_not_shown_as_work(store, cell, screen):
    at_work(store, cell, marked=False)
    with Watch([cell], store).running():
        pass
    assert "nearest" not in screen.getvalue()


def test_on_a_terminal_a_cell_that_ended_leaves_the_bar_and_the_total_is_full(store, cell, screen):
    at_work(store, cell)
    with Watch([cell], store).running() as watch:
        watch.told(Outcome(cell, "done", 2.0))
    totals = [line for line in screen.getvalue().splitlines() if "cells " in line]
    assert "1/1" in totals[-1]
    assert "seed 0" not in screen.getvalue().rpartition("cells ")[2]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stage": "fit"}'])
def test_a_progress_file_that_cannot_be_read_is_passed_over(tmp_path, content):
    (tmp_path / PROGRESS).write_text(content)
    assert load_progress(tmp_path / PROGRESS) is None
    assert load_progress(tmp_path / "missing") is None


def test_lines_are_neither_wrapped_nor_read_as_markup(capsys):
    say(LONG)
    warn(LONG)
    output = capsys.readouterr()
    assert output.out == f"{LONG}\n"
    assert output.err == f"warning: {LONG}\n"


def test_a_page_is_printed_as_it_is_where_there_is_no_terminal(capsys):
    page = f"# Board\n\n| a | b |\n|---|---|\n| **1** | {LONG} |\n"
    show_markdown(page)
    assert capsys.readouterr().out == f"{page}\n"


def test_a_page_is_rendered_on_a_terminal(screen):
    show_markdown("# Board\n\n| name | value |\n|---|---|\n| one | **1** |\n")
    text = screen.getvalue()
    assert "Board" in text
    assert "**" not in text
    assert "|---" not in text


def test_a_table_has_a_line_a_row_however_wide_where_there_is_no_terminal(capsys):
    show_rows("title", ["name", "text"], [["a", LONG], ["[b]", "001"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["title", "name    text"]
    assert lines[2] == f"a       {LONG.rstrip()}"
    assert lines[3] == "[b]     001"


def test_a_table_on_a_terminal_shows_brackets_as_they_are(screen):
    show_rows("title", ["name"], [["[red]x[/red]"]])
    assert "[red]x[/red]" in screen.getvalue()
