"""Cells that the first release wrote, kept as they were: they are read, verified, shown and asked for ever."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.boards.leaderboard import build_board, render
from benchmark.boards.rows import cells_frame
from benchmark.cells.path import cell_folders, local_root
from benchmark.cells.record import read_record
from benchmark.cells.store import Store
from benchmark.commands.main import main
from benchmark.evaluation.cell import answers_in, evaluate_cell, evaluation_of, stored_evaluation
from benchmark.evaluation.figures import SCHEMA, DiscoveryEvaluation, Evaluation
from benchmark.evaluation.predictions import Predictions
from benchmark.evaluation.verify import verify_cell
from benchmark.running.fitting import MODEL, make_run
from methods.core.registry import load_registry
from tests.benchmark.boards.test_leaderboard import table
from tests.methods.data import textures

RESULTS = Path(__file__).parent / "first_release"
CELLS = {folder.parent.name: folder for folder in cell_folders(local_root(RESULTS, "mini", "smoke"))}

each_cell = pytest.mark.parametrize("name", CELLS)


def as_it_was(name):
    """What the first release wrote as figures."""
    return json.loads((CELLS[name] / "evaluation.json").read_text())


def test_the_fixture_has_cells_of_every_form_that_there_was():
    assert set(CELLS) == {"base", "dct_cnn", "girish", "openmax", "yu"}
    assert {as_it_was(name)["schema"] for name in CELLS} == {1}
    assert "curve" in as_it_was("base") and "official_auc" in as_it_was("base")["groups"]["all"]
    assert "clusterings" in as_it_was("yu") and "one_minus_p0" in as_it_was("openmax")["variants"]
    assert "items_per_batch" in read_record(CELLS["yu"]).cell.config


@each_cell
def test_a_cell_is_verified_without_a_fault(name):
    assert verify_cell(CELLS[name]) == []


@each_cell
def test_stored_figures_are_those_that_its_answers_give_today(name):
    record, stored = read_record(CELLS[name]), stored_evaluation(CELLS[name])
    fresh = evaluate_cell(CELLS[name], record.facts, official=name == "base")
    assert stored.schema == SCHEMA
    assert type(stored) is type(fresh) is (DiscoveryEvaluation if name == "girish" else Evaluation)


def test_every_figure_of_the_old_form_has_its_place_in_the_new_one():
    old, new = as_it_was("base"), evaluation_of(CELLS["base"], read_record(CELLS["base"]))
    assert {name: old[name] for name in ("accuracy", "macro_recall", "macro_f1")} == new.closed_set.figures
    assert old["confusion"] == [list(row) for row in new.closed_set.confusion]
    assert (old["accuracy_seen_real"], old["accuracy_by_real_source"]) == (new.real.seen, new.real.by_source)
    for group, curve in old["groups"].items():
        assert curve == {"images": new.unknown[group].images, **new.unknown[group].figures}
    assert old["decisions"]["unknown_rejected"] == new.decisions.unknown_rejected
    assert [row["auc"] for row in old["unknown_classes"]] == [entry.auc for entry in new.unknown_classes]
    with (CELLS["base"] / "curve.csv").open() as file:
        assert [float(row["auc_all"]) for row in csv.DictReader(file)] == [epoch.auc["all"] for epoch in new.epochs]
    clusterings = evaluation_of(CELLS["yu"], read_record(CELLS["yu"])).clusterings
    assert [row["nmi"] for row in as_it_was("yu")["clusterings"]] == [row.figures["nmi"] for row in clusterings]


def test_the_board_of_the_cells_shows_their_figures(tmp_path, monkeypatch):
    monkeypatch.undo()  # the repository's own plugins
    board = build_board("mini", "smoke", RESULTS, tmp_path)
    accuracies = cells_frame(board.entries).set_index("method")["accuracy"]
    assert accuracies["yu"] == as_it_was("yu")["accuracy"]
    assert np.isnan(accuracies["girish"])
    page = render(board, load_registry().ablations, {})
    (row,) = (row for row in table(page, "Attribution") if row["Method"] == "Yu et al.")
    assert row["Accuracy ↑"].strip("*") == f"{100 * as_it_was('yu')['accuracy']:.2f}"


def test_a_model_is_loaded_with_its_settings_under_their_present_names(monkeypatch):
    monkeypatch.undo()
    record, registry = read_record(CELLS["yu"]), load_registry()
    method = registry["yu"].load(CELLS["yu"] / MODEL, make_run(record.cell, Store(RESULTS), registry, "cpu"))
    assert (method.config.batch_size, method.config.epochs, method.config.steps_per_epoch) == (16, 2, 40)
    torch.manual_seed(0)
    prediction = method.predict(textures(3, 4, 64))
    assert prediction.scores.shape == (12, len(record.facts.known))
    np.testing.assert_allclose(prediction.scores.sum(axis=1), 1)


def test_evaluate_and_cluster_bring_a_copy_into_the_new_form_and_submit_takes_it(tmp_path, monkeypatch):
    monkeypatch.undo()
    shutil.copytree(RESULTS, tmp_path / "results")
    places = ["--results", str(tmp_path / "results"), "--leaderboards", str(tmp_path / "boards")]
    for command in ("evaluate", "submit", "leaderboard", "verify"):
        assert main([command, *places]) == 0, command
    copies = sorted((tmp_path / "boards").glob("mini-smoke/cells/*/*/evaluation.json"))
    assert [json.loads(path.read_text())["schema"] for path in copies] == [SCHEMA] * len(CELLS)
    assert all(answers_in(path.parent) for path in copies)
    assert Predictions.load(copies[0].parent).confidence.tolist() == Predictions.load(CELLS["base"]).confidence.tolist()
