"""Curves over the epochs of a training: what is noted, what they leave alone, how they are kept and shown."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.boards.curve_figure import draw_curves
from benchmark.boards.curve_table import curve_table, curves_frame, mean_curves
from benchmark.cells.files import LOG
from benchmark.cells.store import Store
from benchmark.commands import run, run_all
from benchmark.evaluation.curve import COLUMNS, CURVE, TrainingCurve, read_curve
from benchmark.evaluation.figures import Epoch
from benchmark.running.execute import execute
from benchmark.running.fitting import fit_and_predict
from benchmark.running.job import Job
from datasets.types import Split
from methods.core.method import NotFitted
from methods.core.registry import FOLDERS_VARIABLE, load_registry
from tests.benchmark.rows import entry, figures
from tests.benchmark.toy import ToyRequest, planned, toy_request
from tests.methods.data import Stop, make_run, textures, unfitted
from tests.methods.states import differences


def small_split():
    train, val, test = (textures(3, 8, 32, seed=seed) for seed in (0, 1, 2))
    every = textures(5, 4, 32, seed=3)
    unknown = {"seed": every.take(every.labels == 3), "arch": every.take(every.labels == 4)}
    return Split("small", train, val, test, unknown)


def trained(monkeypatch, path=None, **options):
    """Base with its dropout and batch statistics, fitted and judged with or without a curve."""
    monkeypatch.undo()  # the repository's own plugins
    overrides = {"rounds": 3, "steps_per_round": 3, "width": 4}
    method = unfitted("base", make_run(**options), overrides=overrides)
    return fit_and_predict(method, small_split(), path)


# -- what a curve leaves alone -----------------------------------------------------------------------


def test_weights_predictions_and_history_are_the_same_with_and_without_a_curve(monkeypatch, tmp_path):
    without, watched = trained(monkeypatch), trained(monkeypatch, tmp_path / CURVE)
    assert differences(without.method.state(), watched.method.state()) == []
    assert (without.raw.scores == watched.raw.scores).all()
    plain = [[{k: v for k, v in row.items() if k != "seconds"} for row in work.method.run.history.rows]
             for work in (without, watched)]  # fmt: skip
    assert plain[0] == plain[1]
    assert torch.equal(without.method.net.fc.weight, watched.method.net.fc.weight)


def test_the_last_row_is_what_the_finished_method_says(monkeypatch, tmp_path):
    work = trained(monkeypatch, tmp_path / CURVE)
    assert [(row.stage, row.epoch) for row in work.curve.epochs] == [("fit", 0), ("fit", 1), ("fit", 2)]
    split, last = small_split(), work.curve.epochs[-1]
    test = work.method.predict(split.test)
    assert last.accuracy == (test.scores.argmax(axis=1) == split.test.labels).mean()
    unknown = np.concatenate([work.method.predict(split.unknown[g]).confidence for g in ("seed", "arch")])
    wins = (test.confidence[:, None] > unknown) + 0.5 * (test.confidence[:, None] == unknown)
    assert last.auc["all"] == pytest.approx(wins.mean())
    assert set(last.auc) == {"seed", "arch", "all"}  # this split has no others


# -- how it is kept ----------------------------------------------------------------------------------


def test_an_interrupted_training_continues_its_curve(monkeypatch, tmp_path):
    whole = trained(monkeypatch, tmp_path / "whole.csv").curve.epochs

    def stop(progress):
        if progress.step == 0 and progress.epoch == 2:
            raise Stop

    options = {"tmp": tmp_path / "training", "save_every_seconds": 0}
    with pytest.raises(Stop):
        trained(monkeypatch, tmp_path / CURVE, report=stop, **options)
    resumed = trained(monkeypatch, tmp_path / CURVE, **options)
    assert resumed.curve.epochs == whole


def test_rows_are_read_back_with_every_digit(monkeypatch, tmp_path):
    work = trained(monkeypatch, tmp_path / CURVE)
    assert read_curve(tmp_path) == tuple(work.curve.epochs)
    with (tmp_path / CURVE).open() as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
    assert read_curve(tmp_path / "elsewhere") == ()


class Half:
    """Cannot predict in its first stage."""

    def __init__(self, method):
        self._method = method

    def predict(self, images):
        if self._method is None:
            raise NotFitted("Half has no network yet")
        return self._method.predict(images)


def test_a_stage_in_which_the_method_cannot_predict_yet_has_no_row(monkeypatch, tmp_path):
    work = trained(monkeypatch)
    method = Half(None)
    curve = TrainingCurve(method, small_split(), tmp_path / CURVE)
    curve("pretraining", 0)
    assert curve.epochs == []
    method._method = work.method
    curve("fit", 0)
    assert [row.stage for row in curve.epochs] == ["fit"]


TYPIST = """
from methods.core.method import Method, Task
from methods.core.registry import register

@register("typist")
class Typist(Method):
    kind, title, paper = "osr", "Typist", "https://example.org"

    def fit(self, train, val):
        self.task = Task.of(train)
        for _ in self.run.epochs(1): pass

    def predict(self, images): return images.labelz
    def state(self): return {}
    def restore(self, state): pass
"""


def test_a_typo_in_predict_is_a_failure_with_its_traceback_and_not_a_method_that_is_not_fitted(monkeypatch, tmp_path):
    (tmp_path / "typist.py").write_text(TYPIST)
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path))
    (cell,) = planned(load_registry(), "typist", splits=("split1",))
    outcome = execute(Job(cell, toy_request(), tmp_path / "results", "cpu", curve=True))
    assert (outcome.status, outcome.reason) == ("failed", "AttributeError: 'ImageSet' object has no attribute 'labelz'")
    log = (Store(tmp_path / "results").folder(cell) / LOG).read_text()
    assert "return images.labelz" in log
    assert "in _judged" in log  # while its training was watched


def test_a_cell_keeps_its_curve_only_if_it_was_asked_for(registry, tmp_path):
    (cell,) = planned(registry, "nearest", splits=("split1",))
    assert execute(Job(cell, toy_request(), tmp_path, "cpu")).status == "done"
    folder = Store(tmp_path).folder(cell)
    assert not (folder / CURVE).exists()
    Store(tmp_path).set_aside(cell)  # as a run with --curve does; a finished cell is not computed again
    assert execute(Job(cell, toy_request(), tmp_path, "cpu", curve=True)).status == "done"
    # This method has nothing to predict with before its means are there: a curve without rows.
    assert (folder / CURVE).read_text().splitlines() == [",".join(COLUMNS)]
    assert (folder.with_name("split1-seed0.old0") / "cell.json").is_file()


# -- how it is shown ---------------------------------------------------------------------------------


def curve(*values, stage="fit"):
    before = Epoch("before", 0, 0.0, {"all": 0.01})
    return (before, *(Epoch(stage, epoch, 0.5, {"all": auc}) for epoch, auc in enumerate(values)))


@pytest.fixture
def entries():
    return [
        entry("nearest", "split1", values=figures(0.5, epochs=curve(0.5, 0.6, 0.8))),
        entry("nearest", "split1", seed=1, values=figures(0.5, epochs=curve(0.5, 0.8, 0.8))),
        entry("nearest", "split2", values=figures(0.5, epochs=curve(0.7, 0.9, 0.8))),
        entry("other", "split1", values=figures(0.5, epochs=curve(0.9, 0.8))),
        entry("plain", "split1"),
    ]


def test_a_mean_curve_goes_over_seeds_then_splits_of_the_last_stage(entries):
    means = mean_curves(curves_frame(entries))
    assert means.loc["Nearest"].tolist() == pytest.approx([0.6, 0.8, 0.8])
    assert means.loc["Other"].tolist()[:2] == [0.9, 0.8]
    assert np.isnan(means.loc["Other", 3])
    assert list(means.columns) == [1, 2, 3]


def test_the_table_shows_some_epochs_and_the_highest(entries):
    lines = curve_table(curves_frame(entries)).splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        "Method", "epoch 1", "epoch 2", "epoch 3", "highest (epoch)",
    ]  # fmt: skip
    assert [cell.strip() for cell in lines[3].strip("|").split("|")] == ["Other", "90.00", "80.00", "n/a", "90.00 (1)"]
    long = [entry("nearest", values=figures(0.5, epochs=curve(*np.linspace(0, 1, 40).tolist())))]
    header = curve_table(curves_frame(long)).splitlines()[0]
    assert header.count("epoch ") == 10
    assert "epoch 1 " in header
    assert "epoch 40 " in header


def test_the_picture_is_drawn_and_no_curve_gives_no_frame(entries, tmp_path):
    assert draw_curves(curves_frame(entries), "toy", tmp_path / "a" / "epochs.png").stat().st_size > 5000
    assert isinstance(curves_frame([entry()]), pd.DataFrame)
    assert not len(curves_frame([entry()]))


def test_asking_for_curves_computes_cells_without_one_again_and_says_nothing_of_others(
    registry, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(run, "DataRequest", ToyRequest)
    words = ["--methods", "nearest", "--splits", "1", "--preset", "smoke", "--jobs", "1"]
    words += ["--results", str(tmp_path / "results"), "--leaderboards", str(tmp_path / "boards")]
    computed = []
    for extra in ([], ["--curve"], ["--curve"], []):
        assert run_all.main([*words, *extra]) == 0
        computed.append(capsys.readouterr().out.splitlines()[-1])
    assert [line.endswith(f"{number} computed now") for line, number in zip(computed, (1, 1, 0, 0), strict=True)] == [
        True
    ] * 4
