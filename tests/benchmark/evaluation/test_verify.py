"""Whether a tampered cell is found."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmark.cells.arrays import read_arrays
from benchmark.cells.files import EVALUATION, write_arrays, write_json
from benchmark.cells.path import CELL
from benchmark.cells.record import read_record
from benchmark.evaluation.cell import evaluate_cell
from benchmark.evaluation.predictions import Predictions
from benchmark.evaluation.verify import verify_cell
from tests.benchmark.rows import DATA, row_cell, store_row


@pytest.fixture
def folder(tmp_path):
    """A finished cell in which all is well."""
    folder = store_row(tmp_path, row_cell("nearest@ce", config={"rate": 0.1}))
    write_json(folder / EVALUATION, evaluate_cell(folder, DATA))
    return folder


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_an_untouched_cell_has_no_fault(folder):
    assert verify_cell(folder) == []


def test_a_cell_with_official_figures_has_no_fault(folder):
    write_json(folder / EVALUATION, evaluate_cell(folder, DATA, official=True))
    assert verify_cell(folder) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (
            lambda e: e["closed_set"]["figures"].update(accuracy=0.99),
            "closed_set.figures.accuracy is 0.99 in evaluation.json and 1.0 from predictions.npz",
        ),
        (lambda e: e["unknown"]["arch"]["figures"].update(auc=0.5), "unknown.arch.figures.auc is 0.5"),
        (lambda e: e["unknown"]["arch"]["figures"].pop("auc"), "unknown.arch.figures.auc is None"),
        (lambda e: e["unknown_classes"][1].update(taken_for="a"), "unknown_classes[1].taken_for is a"),
        (lambda e: e.update(extra=1), "extra is 1"),
        (lambda e: e["closed_set"]["confusion"].pop(), "closed_set.confusion is [[1, 0]]"),
    ],
)
def test_a_changed_figure_is_found_and_named(folder, change, where):
    edit(folder / EVALUATION, change)
    (fault,) = verify_cell(folder)
    assert fault.startswith(f"{folder}: {where}")


def test_a_difference_in_the_last_bits_is_no_fault(folder):
    edit(folder / EVALUATION, lambda e: e["decisions"].update(threshold=np.nextafter(0.9, 1)))
    assert verify_cell(folder) == []


def test_changed_predictions_are_found(folder):
    arrays = read_arrays(folder / Predictions.FILE)
    arrays["predicted"] = 1 - arrays["predicted"]
    write_arrays(folder / Predictions.FILE, arrays)
    assert any("figures.accuracy is 1.0 in evaluation.json and 0.0 from" in fault for fault in verify_cell(folder))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["cell"]["config"].update(rate=0.2),
        lambda r: r["cell"].update(version=2),
        lambda r: r["cell"].update(fingerprint="other"),
        lambda r: r.update(hash="0" * 64),
    ],
)
def test_a_changed_record_is_found(folder, change):
    edit(folder / CELL, change)
    assert verify_cell(folder) == [f"{folder}: the hash does not follow from the stored settings"]


def test_a_cell_in_the_place_of_another_is_found(folder):
    moved = folder.rename(folder.with_name("split2-seed0"))
    assert verify_cell(moved) == [f"{moved}: holds nearest@ce  split1  seed 0, not what its name says"]


@pytest.mark.parametrize(
    ("name", "said"), [(Predictions.FILE, "predictions.npz or groups.npz"), (EVALUATION, EVALUATION)]
)
def test_a_missing_file_is_found(folder, name, said):
    (folder / name).unlink()
    assert verify_cell(folder) == [f"{folder}: {said} is missing"]


def test_a_failed_cell_needs_no_figures(tmp_path):
    assert verify_cell(store_row(tmp_path, row_cell(), status="failed", reason="why")) == []


@pytest.mark.parametrize("name", [CELL, EVALUATION, Predictions.FILE])
def test_a_damaged_file_is_a_fault_of_one_line_and_no_crash(folder, name):
    (folder / name).write_bytes(b"{ \x00")
    (fault,) = verify_cell(folder)
    assert str(folder) in fault
    assert "\n" not in fault


def test_figures_of_another_metric_version_ask_for_a_new_evaluation(folder):
    edit(folder / EVALUATION, lambda e: e.update(metric_version=0))
    (fault,) = verify_cell(folder)
    assert fault.endswith("has metric version 0, not 1; evaluate it again")


def test_the_stored_cell_is_the_one_that_was_written(folder):
    record = read_record(folder)
    assert record is not None
    assert record.cell == row_cell("nearest@ce", config={"rate": 0.1})
