"""Running a plan in this process; what workers add is in test_workers.py."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from concurrent.futures import BrokenExecutor
from dataclasses import astuple, replace

import pytest

from benchmark.cells.arrays import read_arrays
from benchmark.cells.files import EVALUATION, HISTORY, LOG
from benchmark.cells.path import CELL
from benchmark.cells.record import DataFacts, read_record
from benchmark.cells.store import Store
from benchmark.evaluation.predictions import Predictions
from benchmark.running.execute import execute
from benchmark.running.job import Job
from benchmark.running.runner import run_plan, waves
from tests.benchmark.toy import UNSEEN_SOURCE, execution, planned, refused, stub_plugins, toy_request


def run(registry, cells, results, **options):
    outcomes = run_plan(cells, execution(results, **options), registry, lambda outcome: None)
    return {f"{outcome.cell.key} {outcome.cell.split}": outcome.status for outcome in outcomes}


def snapshot(folder):
    """Every file with its time and content."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


# -- order -------------------------------------------------------------------------------------------


def test_a_wave_needs_only_what_earlier_waves_hold(registry):
    cells = planned(registry, "follower", "nearest@raising")
    found = [sorted((cell.key, cell.split) for cell in wave) for wave in waves(cells)]
    assert found == [
        [("nearest", "split1"), ("nearest", "split2"), ("nearest@raising", "split1"), ("nearest@raising", "split2")],
        [("follower", "split1"), ("follower", "split2")],
    ]


def test_what_is_needed_may_be_finished_already_and_not_in_the_plan(registry):
    cells = [cell for cell in planned(registry, "follower") if cell.key == "follower"]
    assert waves(cells) == [cells]
    assert waves([]) == []


# -- one cell ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished cell and its store."""
    with pytest.MonkeyPatch.context() as patch:
        registry = stub_plugins(patch)
        cell = planned(registry, "nearest", splits=("split1",))[0]
        results = tmp_path_factory.mktemp("results")
        assert run(registry, [cell], results) == {"nearest split1": "done"}
    return cell, Store(results)


def test_a_finished_cell_holds_everything_that_its_readers_need(finished):
    cell, store = finished
    folder = store.folder(cell)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    models = {"model/method.json", "model/model.safetensors"}
    assert files == {CELL, EVALUATION, HISTORY, LOG, Predictions.FILE, "scores.npz", "features.npz", *models}
    assert not list(store.scratch(cell).parents[1].rglob("*.*"))


def test_a_record_states_data_cost_and_origin(finished):
    cell, store = finished
    record = read_record(store.folder(cell))
    assert record is not None
    assert (record.title, record.kind, record.status, record.reason) == ("Nearest mean", "attribution", "done", None)
    assert record.data == DataFacts(
        title="toy (noise with planted patterns)",
        coverage=1.0,
        splits=("split1", "split2"),
        known=("real", "dots", "bars", "rings"),
        unknown={"seed": ("dots2",), "arch": ("waves", "checks"), "dataset": ("grids",)},
        seen_sources=("harbour", "meadow"),
        images={"train": 40, "val": 24, "test": 24, "seed": 6, "arch": 12, "dataset": 6},
    )
    assert record.cost.parameters == 4 * 32 * 32 * 3
    assert None not in (record.cost.train_seconds, record.cost.images_per_second, record.cost.peak_memory)
    assert record.made_with.device in ("cpu", "cuda", "mps")
    assert record.made_with.threads == 1
    assert None not in astuple(replace(record.made_with, commit="", dirty=False))  # not every copy is a git checkout


def test_predictions_cover_validation_known_and_unknown_images_with_their_names(finished):
    cell, store = finished
    arrays = read_arrays(store.folder(cell) / Predictions.FILE)
    names = {"part", "ids", "source", "label", "predicted", "confidence", "variant:margin"}
    assert set(arrays) == names
    assert [int((arrays["part"] == part).sum()) for part in range(5)] == [24, 24, 6, 12, 6]
    assert arrays["ids"][0] == "real/val/0"
    assert arrays["ids"][-1] == "grids/test/5"
    assert set(arrays["source"][(arrays["part"] == 1) & (arrays["label"] == 0)]) == {"meadow", "harbour", UNSEEN_SOURCE}
    large = [read_arrays(store.folder(cell) / name) for name in ("scores.npz", "features.npz")]
    assert large[0]["scores"].shape == (72, 4)
    assert large[1]["features"].shape == (72, 3)
    assert (large[0]["scores"].argmax(axis=1) == arrays["predicted"]).all()


def test_the_planted_patterns_are_found(finished):
    cell, store = finished
    values = json.loads((store.folder(cell) / EVALUATION).read_text())
    assert values["closed_set"]["figures"]["accuracy"] > 0.7
    assert values["unknown"]["all"]["images"] == 24


def test_the_history_has_a_line_an_epoch(finished):
    cell, store = finished
    text = (store.folder(cell) / HISTORY).read_bytes().decode()
    lines = list(csv.DictReader(text.splitlines()))
    assert [line["epoch"] for line in lines] == ["0", "1", "2"]
    assert {line["val_accuracy"] for line in lines} == {"0.5"}
    assert "\r" not in text


# -- failures ----------------------------------------------------------------------------------------


def test_a_plugin_that_raises_on_one_split_leaves_the_others_alone(registry, tmp_path):
    cells = planned(registry, "nearest@raising", "nearest", "nearest@exiting")
    assert run(registry, cells, tmp_path) == {
        "nearest@raising split1": "failed", "nearest@raising split2": "done",
        "nearest@exiting split1": "failed", "nearest@exiting split2": "done",
        "nearest split1": "done", "nearest split2": "done",
    }  # fmt: skip


def test_a_failure_is_kept_with_its_first_line_as_reason_and_its_traceback_in_the_log(registry, tmp_path):
    cell = planned(registry, "nearest@raising", splits=("split1",))[0]
    run(registry, [cell], tmp_path)
    folder = Store(tmp_path).folder(cell)
    record = read_record(folder)
    assert record is not None
    assert record.reason == "ValueError: no [rings] please"
    log = (folder / LOG).read_text()
    assert log.startswith("nearest@raising  split1  seed 0: failed: ValueError: no [rings] please\n")
    assert "Traceback" in log
    assert log.endswith("ValueError: no [rings] please\nand a second line\n")


def test_a_method_whose_requirement_failed_is_skipped_with_the_reason(registry, tmp_path):
    cells = planned(registry, "follower@of_raising")
    assert run(registry, cells, tmp_path) == {
        "nearest@raising split1": "failed", "nearest@raising split2": "done",
        "follower@of_raising split1": "skipped", "follower@of_raising split2": "done",
    }  # fmt: skip
    record = read_record(Store(tmp_path).folder(cells[1]))
    assert record is not None
    assert record.reason == "needs nearest@raising, which did not finish on this split and seed"


def test_a_required_method_of_other_settings_does_not_serve(registry, tmp_path):
    cells = planned(registry, "follower", splits=("split1",))
    run(registry, cells, tmp_path)
    old = read_record(Store(tmp_path).folder(cells[0]))
    (again,) = planned(registry, "follower", splits=("split1",), fingerprint="other data")[1:]
    outcome = execute(Job(again, toy_request(), tmp_path, "auto"))
    assert outcome.status == "skipped"
    assert read_record(Store(tmp_path).folder(cells[0])) == old


def test_data_that_change_under_a_run_fail_the_cell(registry, tmp_path):
    cells = planned(registry, "nearest", splits=("split1",), fingerprint="data of yesterday")
    assert run(registry, cells, tmp_path) == {"nearest split1": "failed"}
    record = read_record(Store(tmp_path).folder(cells[0]))
    assert record is not None
    assert record.reason == "UserError: data set toy has changed since this run began; start it again"


def test_fail_fast_stops_at_the_first_failure(registry, tmp_path):
    cells = planned(registry, "nearest@raising", "nearest")
    assert run(registry, cells, tmp_path, fail_fast=True) == {"nearest@raising split1": "failed"}


def test_a_mistake_of_the_user_inside_a_run_is_told_and_not_stored(registry, tmp_path, monkeypatch):
    cells = planned(registry, "nearest", splits=("split1",))
    run(registry, cells, tmp_path)
    (Store(tmp_path).folder(cells[0]) / CELL).write_text("{")
    with refused("is damaged"):
        run(registry, cells, tmp_path)


@pytest.mark.parametrize("signal", [KeyboardInterrupt, GeneratorExit])
def test_a_request_to_stop_is_no_failure_of_the_method(registry, tmp_path, monkeypatch, signal):
    def interrupted(self):
        raise signal

    cells = planned(registry, "nearest", splits=("split1",))
    monkeypatch.setattr(registry["nearest"], "misbehave", interrupted)
    monkeypatch.setattr("benchmark.running.execute.load_registry", lambda: registry)
    with pytest.raises(signal):
        execute(Job(cells[0], toy_request(), tmp_path, "auto"))
    assert read_record(Store(tmp_path).folder(cells[0])) is None


@pytest.mark.parametrize(("error", "kept"), [(ValueError, False), (OSError, True), (MemoryError, True)])
def test_unfinished_work_survives_a_fault_of_the_machine_and_not_one_of_the_method(
    registry, tmp_path, monkeypatch, error, kept
):
    def faulty(self):
        raise error("oops")

    cell = planned(registry, "nearest", splits=("split1",))[0]
    monkeypatch.setattr(registry["nearest"], "misbehave", faulty)
    monkeypatch.setattr("benchmark.running.execute.load_registry", lambda: registry)
    assert execute(Job(cell, toy_request(), tmp_path, "auto")).status == "failed"
    assert (Store(tmp_path).scratch(cell) / "training").is_dir() == kept


# -- again -------------------------------------------------------------------------------------------


def test_a_second_run_computes_nothing_and_changes_no_file(registry, tmp_path):
    cells = planned(registry, "nearest", "follower")
    run(registry, cells, tmp_path)
    before = snapshot(tmp_path)
    claims = 4  # empty files, which are locked while a cell is computed
    assert len(before) == 4 * 9 + claims
    assert run(registry, cells, tmp_path) == {}
    assert snapshot(tmp_path) == before


def test_a_second_run_tries_again_what_failed_and_what_was_skipped_and_only_that(registry, tmp_path, monkeypatch):
    cells = planned(registry, "follower@of_raising")
    run(registry, cells, tmp_path)
    done = {folder: snapshot(folder) for folder in map(Store(tmp_path).folder, cells) if "split2" in folder.name}
    monkeypatch.setattr(registry["nearest"], "misbehave", lambda self: None)
    monkeypatch.setattr("benchmark.running.execute.load_registry", lambda: registry)
    assert run(registry, cells, tmp_path) == {"nearest@raising split1": "done", "follower@of_raising split1": "done"}
    assert all(snapshot(folder) == files for folder, files in done.items())


def test_two_seeds_give_different_and_equal_seeds_the_same_predictions(registry, tmp_path):
    cells = planned(registry, "nearest", splits=("split1",), seeds=(0, 1))
    for place in ("one", "two"):
        run(registry, cells, tmp_path / place)
    first, second, again, _ = (
        read_arrays(Store(tmp_path / place).folder(cell) / Predictions.FILE)["confidence"]
        for place in ("one", "two")
        for cell in cells
    )
    assert (first != second).any()
    assert (first == again).all()


def test_a_pool_that_breaks_before_anything_starts_is_not_tried_for_ever(registry, tmp_path, monkeypatch):
    attempts = []

    def broken(cells, execution, store, elsewhere):
        attempts.append(len(cells))
        raise BrokenExecutor("cannot read the task")
        yield

    monkeypatch.setattr("benchmark.running.runner._parallel", broken)
    with pytest.raises(BrokenExecutor, match="cannot read the task"):
        run(registry, planned(registry, "nearest"), tmp_path)
    assert attempts == [2, 2]


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_a_back_end_that_is_not_installed_is_refused_with_how_to_get_it(registry, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "ray.util.joblib", None)
    with refused(f"pip install 'osma-bench[{name}]'"):
        run(registry, planned(registry, "nearest"), tmp_path, backend=name)
