"""Whether a tampered cell is found."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from benchmark.boards.committed import commit_cell
from benchmark.cells.arrays import read_arrays
from benchmark.cells.files import EVALUATION, HISTORY, write_arrays, write_json
from benchmark.cells.path import CELL, cell_places
from benchmark.cells.record import read_record, write_record
from benchmark.evaluation.cell import evaluate_cell
from benchmark.evaluation.cluster_cells import FEATURES
from benchmark.evaluation.predictions import Predictions
from benchmark.evaluation.verify import verify_cell
from benchmark.running.fitting import MODEL
from datasets.errors import UserError
from methods.core.state import save_tree
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


# -- every file --------------------------------------------------------------------------------------

WEIGHTS, SCORES = f"{MODEL}/model.safetensors", "scores.npz"


@pytest.fixture
def whole(folder):
    """The same cell with all the files that a method leaves."""
    (folder / MODEL).mkdir()
    save_tree(folder / WEIGHTS, {"means": np.arange(6.0)})
    write_arrays(folder / SCORES, {"scores": np.zeros((10, 2), np.float32)})
    write_arrays(folder / FEATURES, {"features": np.zeros((10, 2), np.float32)})
    (folder / HISTORY).write_text("epoch\n0\n")
    write_record(folder, read_record(folder))
    assert verify_cell(folder) == []
    return folder


def only_fault(folder):
    (fault,) = verify_cell(folder)
    assert fault.startswith(f"{folder}: ")
    return fault.removeprefix(f"{folder}: ")


@pytest.mark.parametrize("name", [WEIGHTS, SCORES, FEATURES, HISTORY])
def test_a_file_that_was_edited_emptied_exchanged_taken_away_or_linked_is_named(whole, tmp_path, name):
    path, stored = whole / name, (whole / name).read_bytes()
    path.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    assert only_fault(whole) == f"{name} was edited or cut off since it was stored"
    path.write_bytes(stored[:-3])
    assert only_fault(whole) == f"{name} was edited or cut off since it was stored"
    path.write_bytes(b"cbuiltins\nprint\n(Vloaded\ntR.")  # a pickle; nothing loads it
    assert only_fault(whole) == f"{name} was edited or cut off since it was stored"
    path.write_bytes(b"")
    assert only_fault(whole) == f"{name} is empty now"
    path.write_bytes((whole / Predictions.FILE).read_bytes())
    assert only_fault(whole) == f"{name} holds what {Predictions.FILE} should hold"
    path.unlink()
    assert only_fault(whole) == f"{name} is missing"
    (tmp_path / "elsewhere").write_bytes(stored)  # the very same content, for now
    path.symlink_to(tmp_path / "elsewhere")
    assert only_fault(whole) == f"{name} is a link to {tmp_path / 'elsewhere'}; put the file itself there"
    path.unlink()
    path.write_bytes(stored)
    assert verify_cell(whole) == []


def test_a_file_that_does_not_belong_to_the_cell_is_named(whole):
    (whole / MODEL / "extra.py").write_text("print('loaded')")
    assert only_fault(whole) == f"{MODEL}/extra.py was not stored with the cell; take it away"


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(status="failed", reason="why"),
        lambda r: r.update(kind="attribution"),
        lambda r: r.update(title="Better than all"),
        lambda r: r.update(tables=["open-set"]),
        lambda r: r.update(cost={"parameters": 1}),
        lambda r: r["data"].update(coverage=0.5),
        lambda r: r["made_with"].update(device="other"),
        lambda r: r["files"].update({HISTORY: "0" * 64}),
        lambda r: r.pop("digest"),
    ],
)
def test_an_edited_record_is_found_although_its_hash_follows(whole, change):
    edit(whole / CELL, change)
    assert f"{whole}: {CELL} was edited: its digest does not follow from the rest of it" in verify_cell(whole)


def test_a_cell_below_another_data_set_or_preset_is_found(whole):
    for place in ("other/smoke", "toy/paper"):
        moved = whole.parents[3] / place / "nearest@ce" / whole.name
        moved.parent.mkdir(parents=True)
        shutil.copytree(whole, moved)
        assert only_fault(moved) == "holds a cell of toy, preset smoke, not of its place"


def test_a_cell_folder_that_is_a_link_a_file_or_empty_is_found(whole, tmp_path):
    place = whole.with_name("split2-seed0")
    place.symlink_to(whole)
    assert only_fault(place) == f"is a link to {whole}; put the folder itself there"
    place.unlink()
    place.touch()
    assert only_fault(place) == "holds no cell; take it away"
    place.unlink()
    place.mkdir()
    assert only_fault(place) == "holds no cell; take it away"
    assert list(cell_places(whole.parents[1])) == [whole, place]  # where verify looks


def test_a_committed_cell_needs_the_small_files_alone_and_these_as_they_were(whole, tmp_path):
    copy = commit_cell(whole, read_record(whole), tmp_path / "boards")
    assert not (copy / SCORES).exists()
    assert verify_cell(copy) == []
    (copy / HISTORY).unlink()
    assert only_fault(copy) == f"{HISTORY} is missing"
    (whole / HISTORY).write_text("epoch\n1\n")
    with pytest.raises(UserError, match=f"is not copied: {HISTORY} was edited or cut off since it was stored; see"):
        commit_cell(whole, read_record(whole), tmp_path / "boards")


@pytest.mark.parametrize("name", ["../../x", "a" * 300, "", ".hidden", "a\0b", "a\\b"])
@pytest.mark.parametrize("field", ["dataset", "preset", "method", "split"])
def test_a_record_that_names_a_place_elsewhere_is_refused_before_it_is_used(whole, field, name):
    edit(whole / CELL, lambda r: r["cell"].update({field: name}))
    if (field, name) == ("method", ""):
        assert "not what its name says" in " ".join(verify_cell(whole))
        return
    with pytest.raises(UserError, match=r"is no name of a folder\); delete the cell's folder$"):
        read_record(whole)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda a: a.update(label=a["label"] + 7),
            "it has label 8 among its val images, the record names 2 classes there",
        ),
        (lambda a: a.update(predicted=a["predicted"] + 5), "it predicts class 6, the record names 2 classes"),
        (lambda a: a.update(confidence=a["confidence"] * np.nan), "'confidence' holds 10 values that are not finite"),
        (lambda a: a.update(part=a["part"] + 5), "'part' holds 5, which must lie in 0 to 4"),
        (
            lambda a: a.update(confidence=a["confidence"].astype(np.float32)[:3]),
            "'confidence' has shape (3,), others (10,)",
        ),
        (lambda a: a.update(label=np.zeros((10, 2), np.int64)), "'label' has shape (10, 2), others (10,)"),
    ],
)
def test_answers_that_cannot_be_of_this_cell_are_refused_in_one_line(whole, change, reason):
    arrays = read_arrays(whole / Predictions.FILE)
    change(arrays)
    with np.errstate(all="ignore"):
        write_arrays(whole / Predictions.FILE, arrays)
    with pytest.raises(UserError) as caught:
        evaluate_cell(whole, DATA)
    assert f"({reason})" in str(caught.value)
    assert only_fault(whole) == f"{Predictions.FILE} was edited or cut off since it was stored"
