"""Cells side by side in processes of their own, some of which die. One run serves all tests: workers start slowly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor

from benchmark.cells.arrays import read_arrays
from benchmark.cells.cell import Cell
from benchmark.cells.files import EVALUATION
from benchmark.cells.record import read_record
from benchmark.cells.store import Store
from benchmark.evaluation.predictions import Predictions
from benchmark.running.job import Outcome
from benchmark.running.progress import started_mark
from benchmark.running.runner import run_plan
from tests.benchmark.toy import execution, planned, stub_plugins

pytestmark = pytest.mark.xdist_group("workers")
DEATHS, GREETING = "deaths.txt", "greeting.txt"


@dataclass
class Storm:
    """What a run left behind in which one cell killed its worker whenever it was computed."""

    outcomes: list[Outcome]
    results: Store
    alone: Store  # the healthy cells again, computed one by one in this process
    healthy: list[Cell]
    killer: Cell
    folder: Path


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Storm:
    folder = tmp_path_factory.mktemp("storm with spaces")
    with pytest.MonkeyPatch.context() as patch:
        registry = stub_plugins(patch)
        patch.chdir(folder)
        files = {"greeting": str(folder / GREETING), "deaths": str(folder / DEATHS)}
        bystander, killer = (
            planned(
                registry, "nearest", splits=("split1",), overrides={"nearest": {**files, "role": role}}, variant=role
            )
            for role in ("bystander", "killer")
        )
        healthy = planned(registry, "nearest")
        mark = started_mark(Store(Path("results")), healthy[0])
        mark.parent.mkdir(parents=True)
        mark.touch()  # as a run that was killed leaves it
        cells = [*bystander, *killer, *healthy]
        get_reusable_executor().shutdown(wait=True)  # workers of other tests have another environment
        outcomes = run_plan(cells, execution(Path("results"), jobs=2), registry, lambda outcome: None)
        run_plan(healthy, execution(Path("alone")), registry, lambda outcome: None)
        get_reusable_executor().shutdown(wait=True)
    return Storm(outcomes, Store(folder / "results"), Store(folder / "alone"), healthy, killer[0], folder)


def test_every_cell_ends_once_and_only_the_killer_fails(storm: Storm) -> None:
    ends = sorted((outcome.cell.key, outcome.cell.split, outcome.status) for outcome in storm.outcomes)
    assert ends == [
        ("nearest", "split1", "done"),
        ("nearest", "split2", "done"),
        ("nearest@bystander", "split1", "done"),
        ("nearest@killer", "split1", "failed"),
    ]


def test_a_cell_whose_worker_died_is_submitted_once_more_and_then_given_up_with_the_reason(storm: Storm) -> None:
    assert (storm.folder / DEATHS).read_text().splitlines() == ["died", "died"]
    record = read_record(storm.results.folder(storm.killer))
    assert record is not None
    assert (record.status, record.reason) == ("failed", "its worker process died 2 times (out of memory, or killed)")


def test_a_bystander_was_at_work_when_the_worker_died(storm: Storm) -> None:
    assert (storm.folder / GREETING).exists()


def test_two_jobs_and_deaths_give_the_same_predictions_and_figures_as_one_job(storm: Storm) -> None:
    assert len(storm.healthy) == 2
    for cell in storm.healthy:
        here, there = storm.results.folder(cell), storm.alone.folder(cell)
        assert (here / EVALUATION).read_bytes() == (there / EVALUATION).read_bytes()
        one, other = read_arrays(here / Predictions.FILE), read_arrays(there / Predictions.FILE)
        assert all((one[name] == other[name]).all() for name in one)


def test_nothing_is_left_marked_as_running(storm: Storm) -> None:
    assert list(storm.results.root.rglob("started")) == []
