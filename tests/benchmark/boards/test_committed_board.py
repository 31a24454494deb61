"""The boards of this repository follow from the cells that are committed beside them, to the last byte."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from benchmark.boards.committed import SMALL_FILES, boards
from benchmark.boards.leaderboard import write_board
from benchmark.boards.published import PUBLISHED, published_tables
from benchmark.cells.arrays import read_arrays
from benchmark.cells.files import CLUSTERS, EVALUATION
from benchmark.cells.path import CELLS, cell_folders
from benchmark.cells.record import read_record
from benchmark.commands.agreement import compare_board
from benchmark.commands.options import CHECKOUT
from benchmark.evaluation.cell import answers_in, evaluation_of
from benchmark.evaluation.discovery import Groups
from benchmark.evaluation.parts import PARTS
from benchmark.evaluation.predictions import Predictions
from benchmark.evaluation.verify import verify_cell
from benchmark.studies.agreement import FILE
from datasets.splits import UNKNOWN_GROUPS
from methods.core.registry import FOLDERS_VARIABLE, load_registry

LEADERBOARDS = CHECKOUT / "leaderboards"
FOLDERS = sorted({path.parent for path in LEADERBOARDS.glob(f"*/{CELLS}")})
CELL_FOLDERS = [cell for folder in FOLDERS for cell in cell_folders(folder / CELLS)]
REMEDY = "make it again where results/ is empty: python -m benchmark leaderboard (or agreement) --results EMPTY-FOLDER"

each_cell = pytest.mark.parametrize(
    "folder", CELL_FOLDERS, ids=[folder.relative_to(LEADERBOARDS).as_posix() for folder in CELL_FOLDERS]
)


def record_of(folder):
    record = read_record(folder)
    assert record is not None
    return record


# -- cells ---------------------------------------------------------------------------------------------


def test_every_folder_below_the_cells_of_a_board_is_a_cell():
    assert CELL_FOLDERS
    assert sorted(path for folder in FOLDERS for path in (folder / CELLS).glob("*/*")) == sorted(CELL_FOLDERS)


@each_cell
def test_a_cell_belongs_to_its_board_and_has_the_small_files_that_its_numbers_follow_from(folder):
    record = record_of(folder)
    assert folder.parents[2].name == f"{record.cell.dataset}-{record.cell.preset}"
    assert {path.name for path in folder.iterdir()} <= {*SMALL_FILES, CLUSTERS}
    if record.status == "done":
        assert answers_in(folder) is not None
        assert (folder / EVALUATION).is_file()


@each_cell
def test_hash_place_and_every_stored_figure_follow_from_what_a_cell_holds(folder):
    assert verify_cell(folder) == []


@each_cell
def test_the_main_figures_are_those_that_other_code_computes_from_the_stored_answers(folder):
    record = record_of(folder)
    if record.status == "done":
        kind = answers_in(folder)
        check = {Groups: check_groups, Predictions: check_predictions}[kind]
        check(read_arrays(folder / kind.FILE), evaluation_of(folder, record))


def check_predictions(arrays, stored):
    """Accuracy by its definition, AUC by scikit-learn, OSCR as the share of pairs that are won."""
    of = {name: arrays["part"] == position for position, name in enumerate(PARTS)}
    of["all"] = np.logical_or.reduce([of[group] for group in UNKNOWN_GROUPS])
    right = (arrays["predicted"] == arrays["label"])[of["known"]]
    known = arrays["confidence"][of["known"]]
    assert stored.closed_set.figures["accuracy"] == pytest.approx(right.mean(), abs=1e-12)
    for group in (*UNKNOWN_GROUPS, "all"):
        unknown, figures = arrays["confidence"][of[group]], stored.unknown[group].figures
        if unknown.size:
            truth, scores = np.repeat([1, 0], [known.size, unknown.size]), np.concatenate([known, unknown])
            assert figures["auc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)
            won = (known[:, None] > unknown) + 0.5 * (known[:, None] == unknown)
            assert figures["oscr"] == pytest.approx(right @ won.mean(axis=1) / known.size, abs=1e-9)


def check_groups(arrays, stored):
    """ARI by scikit-learn, purity as the share of images in the largest class of their group."""
    classes = [f"{part} {label}" for part, label in zip(arrays["part"], arrays["label"], strict=True)]
    (row,) = [row for row in stored.clusterings if (row.pool, row.of) == ("all", "all")]
    assert row.figures["ari"] == pytest.approx(adjusted_rand_score(classes, arrays["group"]), abs=1e-9)
    largest = pd.crosstab(np.array(classes), arrays["group"]).max()
    assert row.figures["purity"] == pytest.approx(largest.sum() / len(classes), abs=1e-12)


# -- boards --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    """A leaderboards folder made anew from nothing but committed cells and published figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(FOLDERS_VARIABLE, raising=False)
        registry = load_registry()
    target: Path = tmp_path_factory.mktemp("leaderboards")
    (target / PUBLISHED).write_bytes((LEADERBOARDS / PUBLISHED).read_bytes())
    for board in boards(target / "no results", LEADERBOARDS):
        write_board(board, registry.ablations, target)
        if (LEADERBOARDS / board.name / FILE).is_file():
            compare_board(board, published_tables(target)["osma"], "osma", target / board.name)
    return target


def test_every_folder_with_cells_becomes_a_board(rebuilt):
    assert sorted(path.name for path in rebuilt.iterdir() if path.is_dir()) == [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_pages_and_tables_of_a_board_are_those_that_its_committed_cells_give(folder, rebuilt):
    for fresh in sorted((rebuilt / folder.name).iterdir()):
        committed = folder / fresh.name
        assert committed.is_file(), f"{committed} is missing; {REMEDY}"
        pairs = zip_longest(committed.read_bytes().split(b"\n"), fresh.read_bytes().split(b"\n"))
        for number, (was, now) in enumerate(pairs, start=1):
            assert was == now, f"line {number} of {committed} does not follow from its cells; {REMEDY}"
