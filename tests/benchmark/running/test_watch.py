"""What a run shows, with and without a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmark.cells.files import LOG
from benchmark.cells.store import Store
from benchmark.running import watch as shown
from benchmark.running.job import Outcome
from benchmark.running.progress import reporter, standing, started_mark
from benchmark.running.watch import Watch
from datasets import console as terminal
from methods.core.run import Progress
from tests.benchmark.rows import row_cell


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
    return stream


def at_work(store, cell, marked=True):
    """As a worker leaves it: six of eight steps of the second of four epochs are done."""
    store.scratch(cell).mkdir(parents=True)
    reporter(store, cell)(Progress("[i]fit", epoch=1, epochs=4, step=6, steps=8))
    if marked:
        started_mark(store, cell).touch()


def test_without_a_terminal_each_cell_that_ends_is_a_line_and_nothing_else_is_shown(store, cell, capsys):
    at_work(store, cell)
    store.folder(cell).mkdir(parents=True)
    (store.folder(cell) / LOG).touch()
    with Watch([cell, cell], store).running() as watch:
        watch.on_finished(Outcome(cell, "done", 1.25))
        watch.on_finished(Outcome(cell, "failed", 61, "ValueError: [no] luck"))
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
        watch.on_finished(Outcome(cell, "done", 2.0))
    totals = [line for line in screen.getvalue().splitlines() if "cells " in line]
    assert "1/1" in totals[-1]
    assert "seed 0" not in screen.getvalue().rpartition("cells ")[2]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stage": "fit"}'])
def test_a_progress_file_that_cannot_be_read_is_passed_over(store, cell, content):
    at_work(store, cell)
    assert standing(store, cell) == Progress("[i]fit", 1, 4, 6, 8)
    (file,) = store.scratch(cell).glob("*.json")
    file.write_text(content)
    assert standing(store, cell) is None
    file.unlink()
    assert standing(store, cell) is None
