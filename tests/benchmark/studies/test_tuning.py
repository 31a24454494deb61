"""The search for settings: its candidates, its choice by validation accuracy, its log, its mistakes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from benchmark.commands import main as commands
from benchmark.commands import tune as tune_command
from benchmark.commands.options import requested
from benchmark.evaluation.parts import VAL
from benchmark.evaluation.predictions import Predictions
from benchmark.studies.tuning import TrialRow, late_gain, merged, searchable, trials_of, with_choice
from datasets.console import exit_status
from tests.benchmark.toy import ToyRequest, refused

GRID = [{"blind": blind, "rounds": rounds} for blind in (True, False) for rounds in (1, 2)]


@pytest.fixture
def tune(tmp_path, monkeypatch, capsys):
    """The command in a folder of its own: exit status, standard output, standard error."""
    monkeypatch.setattr(tune_command, "DataRequest", ToyRequest)
    places = ["--results", str(tmp_path / "trials"), "--out", str(tmp_path / "log"), "--preset", "smoke", "--jobs", "1"]

    def run(*words):
        capsys.readouterr()
        status = exit_status(lambda: commands.main(["tune", *places, *words]))
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


# -- candidates --------------------------------------------------------------------------------------


def test_all_candidates_are_tried_where_there_are_as_many_trials(registry):
    trials = trials_of(registry.choose("nearest"), 4)
    assert [trial.changes for trial in trials] == GRID
    assert [trial.request.key for trial in trials] == [f"nearest@trial{number}" for number in (1, 2, 3, 4)]


def test_fewer_trials_are_a_fixed_draw_without_repetition(registry):
    first, again = (trials_of(registry.choose("nearest@steady"), 3) for _ in range(2))
    assert [trial.changes for trial in first] == [trial.changes for trial in again]
    places = [GRID.index(trial.changes) for trial in first]
    assert places == sorted(set(places))
    assert first[0].request.key == "nearest@steady-trial1"


def test_a_trial_changes_its_settings_on_top_of_preset_and_variant(registry):
    trial = trials_of(registry.choose("nearest@steady"), 4)[0]
    config = trial.request.config("smoke")
    assert (config.blind, config.rounds, config.rate) == (True, 1, 0.25)


def test_more_trials_than_candidates_are_refused(registry):
    with refused("--trials 5: nearest declares 4 candidates"):
        trials_of(registry.choose("nearest"), 5)


def test_a_comparison_of_everything_has_the_standing_variants(registry):
    assert requested(None, None, registry) == ["follower", "nearest", "nearest@steady"]
    assert searchable(registry) == ["nearest", "nearest@steady"]


# -- figures -----------------------------------------------------------------------------------------


def test_the_late_gain_compares_the_last_two_quarters():
    rising = pd.DataFrame({"val_accuracy": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0]})
    assert late_gain(rising) == pytest.approx(0.9 - 0.55)
    stages = pd.DataFrame({"val_accuracy": [None, None, 0.5, 0.75]})  # an earlier stage judges nothing
    assert late_gain(stages) == pytest.approx(0.25)


@pytest.mark.parametrize("history", [{}, {"val_accuracy": []}, {"val_accuracy": [0.5]}, {"loss": [1.0, 2.0]}])
def test_the_late_gain_of_a_method_without_training_is_unknown(history):
    assert np.isnan(late_gain(pd.DataFrame(history)))


def row(method, trial, accuracy):
    return {"method": method, "trial": trial, "settings": "{}", "val_accuracy": accuracy}


def line(method, trial, accuracy):
    return TrialRow(method, trial, "{}", accuracy, 0.0, 1.0)


def log_of(*rows):
    return pd.DataFrame(rows)


def test_the_best_trial_of_each_method_is_chosen_and_the_earlier_one_of_equals():
    frame = with_choice(log_of(row("a", 1, 0.5), row("a", 2, 0.7), row("a", 3, 0.7), row("b", 1, 0.2)))
    assert frame["chosen"].tolist() == [False, True, False, True]


def test_variants_that_share_a_preset_share_the_choice_by_their_mean():
    rows = [row("a", 1, 0.9), row("a", 2, 0.8), row("a@ce", 1, 0.4), row("a@ce", 2, 0.6), row("ab", 1, 0.1)]
    assert with_choice(log_of(*rows))["chosen"].tolist() == [False, True, False, True, True]


def test_a_later_search_replaces_the_rows_of_its_own_methods(tmp_path):
    log = tmp_path / "tuning.csv"
    with_choice(log_of(row("a", 1, 0.5), row("c", 1, 0.6))).to_csv(log, index=False)
    frame = merged(log, [line("b", 1, 0.3), line("c", 1, 0.9)])
    assert frame[["method", "val_accuracy"]].values.tolist() == [["a", 0.5], ["b", 0.3], ["c", 0.9]]


def test_a_variant_that_is_searched_later_takes_part_in_the_choice_of_its_method(tmp_path):
    log = tmp_path / "tuning.csv"
    with_choice(log_of(row("a", 1, 0.9), row("a", 2, 0.8))).to_csv(log, index=False)
    frame = with_choice(merged(log, [line("a@ce", 1, 0.4), line("a@ce", 2, 0.6)]))
    assert frame["chosen"].tolist() == [False, True, False, True]


# -- the command -------------------------------------------------------------------------------------


def test_the_search_runs_on_the_split_outside_the_comparison_and_keeps_a_log(tune, tmp_path):
    status, out, _ = tune("--methods", "nearest", "--trials", "4")
    assert status == 0
    log = pd.read_csv(tmp_path / "log" / "tuning.csv")
    assert [json.loads(text) for text in log["settings"]] == GRID
    for line in log.to_dict("records"):
        cell = tmp_path / "trials" / "toy" / "smoke" / f"nearest@trial{line['trial']}" / "calibration-seed0"
        held = Predictions.load(cell)
        right = (held.predicted == held.label)[held.of(VAL)]
        assert line["val_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    blind, sighted = log["val_accuracy"][:2], log["val_accuracy"][2:]
    assert (blind == 0.25).all()  # the first of four classes
    assert (sighted > 0.25).all()
    assert log["chosen"].tolist() == [False, False, True, False]  # rounds change nothing in this method
    page = (tmp_path / "log" / "tuning.md").read_text()
    assert "| nearest  | 3       | blind False, rounds 1 |" in page
    assert "split calibration of" in page
    assert "4 of 4 cells to compute" in out


def test_a_search_continues_where_it_stopped(tune, tmp_path):
    tune("--methods", "nearest", "--trials", "2")
    before = (tmp_path / "log" / "tuning.csv").read_bytes()
    status, out, _ = tune("--methods", "nearest", "--trials", "2")
    assert (status, (tmp_path / "log" / "tuning.csv").read_bytes()) == (0, before)
    assert "to compute" not in out


def test_a_trial_that_fails_fails_the_search_and_leaves_the_log_to_the_others(tune, tmp_path):
    assert tune("--methods", "nearest", "--trials", "1")[0] == 0
    status, out, _ = tune("--methods", "nearest@raising", "--splits", "1", "--trials", "4")
    assert status == 1
    assert "written" not in out
    assert pd.read_csv(tmp_path / "log" / "tuning.csv")["method"].tolist() == ["nearest"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--methods", "follower"), "method 'follower' declares no SEARCH"),
        (("--methods", "nearst"), "did you mean 'nearest'?"),
        (("--trials", "0"), "--trials 0: write a positive number"),
        (("--methods", "nearest", "--trials", "9"), "declares 4 candidates"),
        (("--splits", "7"), "it has split1, split2, calibration"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tune, tmp_path, words, complaint):
    status, _, err = tune(*words)
    assert status == 2
    assert complaint in err
    assert err.count("\n") == 1
    assert not (tmp_path / "log").exists()
