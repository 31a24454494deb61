"""Two runs on one results folder: no cell is computed twice, none is lost."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmark.cells.claims import claimed
from benchmark.cells.path import CELL
from benchmark.cells.record import read_record
from benchmark.cells.store import Store
from benchmark.commands.run import begin_again
from benchmark.running.execute import execute
from benchmark.running.job import Job, PassedOver
from benchmark.running.missing import compute_missing
from benchmark.running.progress import abandoned, started_mark, tidy
from benchmark.running.runner import run_plan
from tests.benchmark.toy import execution, planned, refused, toy_request

ROOT = Path(__file__).parents[3]


@pytest.fixture
def cell(registry):
    return planned(registry, "nearest", splits=("split1",))[0]


def job(cell, results, **more):
    return Job(cell, toy_request(), results, "auto", **more)


def test_a_cell_that_another_run_has_in_hand_is_passed_over(cell, tmp_path):
    with claimed(Store(tmp_path), cell):
        assert execute(job(cell, tmp_path)) == PassedOver(cell, "")
    assert read_record(Store(tmp_path).folder(cell)) is None


def test_what_another_run_has_made_is_taken_over(cell, tmp_path):
    assert execute(job(cell, tmp_path)).elsewhere is False
    before = read_record(Store(tmp_path).folder(cell))
    outcome = execute(job(cell, tmp_path))
    assert (outcome.status, outcome.elsewhere) == ("done", True)
    assert read_record(Store(tmp_path).folder(cell)) == before


def test_a_failure_that_was_waited_for_counts_and_one_of_an_earlier_day_is_tried_again(registry, tmp_path):
    cell = planned(registry, "nearest@raising", splits=("split1",))[0]
    assert execute(job(cell, tmp_path)).elsewhere is False
    written = read_record(Store(tmp_path).folder(cell)).made_with.finished
    assert execute(job(cell, tmp_path)).elsewhere is False
    again = execute(job(cell, tmp_path, passed_over=PassedOver(cell, "before " + written)))
    assert (again.status, again.elsewhere) == ("failed", True)


def test_a_run_does_its_other_cells_first_and_waits_for_those_of_the_other_run(registry, tmp_path, capsys):
    cells, order, held, go_on = planned(registry, "nearest"), [], threading.Event(), threading.Event()

    def other_run():
        with claimed(Store(tmp_path), cells[0]):
            held.set()
            assert go_on.wait(60)  # and dies without having made anything

    def on_finished(outcome):
        order.append((outcome.cell.split, outcome.status, outcome.elsewhere))
        go_on.set()

    thread = threading.Thread(target=other_run)
    thread.start()
    held.wait()
    run_plan(cells, execution(tmp_path), registry, on_finished)
    thread.join()
    assert order == [("split2", "done", False), ("split1", "done", False)]
    assert f"1 cells are computed by another run on {tmp_path}; waiting for it" in capsys.readouterr().err


def test_marks_of_a_cell_at_work_elsewhere_are_left_alone(cell, tmp_path):
    store = Store(tmp_path)
    mark = started_mark(store, cell)
    mark.parent.mkdir(parents=True)
    mark.touch()
    with claimed(store, cell):
        tidy(store, [cell])
        assert mark.exists() and not abandoned(store, cell)
    assert abandoned(store, cell)
    tidy(store, [cell])
    assert not mark.exists() and not mark.parent.exists()


def test_the_mark_of_a_run_that_was_killed_just_after_it_had_stored_a_cell_goes_with_the_next_run(
    registry, cell, tmp_path
):
    execute(job(cell, tmp_path))
    mark = started_mark(Store(tmp_path), cell)
    mark.parent.mkdir(parents=True)
    mark.touch()
    assert compute_missing([cell], toy_request().open(), execution(tmp_path), registry) == []
    assert not mark.exists()


def test_force_takes_nothing_from_another_run(cell, tmp_path):
    with claimed(Store(tmp_path), cell), refused("is computed by another run"):
        begin_again([cell], Store(tmp_path))


@pytest.mark.skipif(os.name != "posix", reason="locks of another kind")
def test_without_locks_a_run_says_that_another_would_compute_the_same(registry, tmp_path, capsys, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    cells = planned(registry, "nearest")
    outcomes = run_plan(cells, execution(tmp_path), registry, lambda outcome: None)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    assert capsys.readouterr().err.count("cannot be locked: another run there would compute the same cells") == 1


def test_two_runs_at_once_compute_each_cell_once(tmp_path):
    words = ["--methods", "nearest,nearest@steady,follower", "--preset", "smoke", "--jobs", "1"]
    places = ["--results", str(tmp_path / "results"), "--leaderboards", str(tmp_path / "boards")]
    program = [sys.executable, "-m", "tests.benchmark.toy_run_all", *words, *places]
    runs = [
        subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "12"
    ]
    outputs = [run.communicate(timeout=240) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    computed = [int(re.search(r"(\d+) computed now", output).group(1)) for output, _ in outputs]
    assert sum(computed) == 6
    assert len(list((tmp_path / "results" / "toy").rglob(CELL))) == 6
