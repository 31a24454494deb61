"""Figures of a cell, worked out with paper and pencil from a dozen predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmark.cells.record import DataFacts
from benchmark.evaluation.cell import evaluate_cell
from benchmark.evaluation.evaluator import evaluate
from benchmark.evaluation.figures import SCHEMA, Curve, Decisions, RealImages, UnknownClass
from benchmark.evaluation.parts import PARTS
from benchmark.evaluation.predictions import Predictions
from benchmark.metrics.open_set import VERSION

DATA = DataFacts(
    "toy", 1.0, ("split1",), ("real", "a", "b"), {"seed": ("a2",), "arch": ("c", "d"), "dataset": ("e",)}, ("meadow",)
)

# part, source, label, predicted, confidence
TEST = [
    ("known", "meadow", 0, 0, 0.9),
    ("known", "desert", 0, 1, 0.8),
    ("known", "a", 1, 1, 0.7),
    ("known", "a", 1, 2, 0.05),
    ("known", "b", 2, 2, 0.3),
    ("seed", "a2", 0, 1, 0.85),
    ("seed", "a2", 0, 1, 0.2),
    ("arch", "c", 0, 0, 0.05),
]
# Twenty, of which nineteen have at least 0.1; fifteen are right.
VAL = [("val", "a", 1, 1 if number < 15 else 2, (number + 1) / 20) for number in range(20)]


def judged(rows, **variants):
    part, source, label, predicted, confidence = zip(*rows, strict=True)
    return Predictions(
        part=np.array([PARTS.index(name) for name in part], np.int8),
        ids=np.array([f"image-{number}" for number in range(len(rows))]),
        source=np.array(source),
        label=np.array(label),
        predicted=np.array(predicted),
        confidence=np.array(confidence, dtype=np.float64),
        variants=variants,
    )


@pytest.fixture
def predictions():
    rows = VAL + TEST
    return judged(rows, other=-np.array([row[-1] for row in rows]))


@pytest.fixture
def values(predictions):
    return evaluate(predictions, DATA)


def test_the_closed_set_is_judged_on_known_test_images_alone(values):
    assert values.closed_set.figures == {
        "accuracy": pytest.approx(3 / 5),
        "macro_recall": pytest.approx((1 / 2 + 1 / 2 + 1) / 3),
        "macro_f1": pytest.approx((2 / 3 + 2 / 4 + 2 / 3) / 3),
    }
    assert values.closed_set.classes_present == 3
    assert values.closed_set.confusion == ((1, 1, 0), (0, 1, 1), (0, 0, 1))
    assert values.val_accuracy == pytest.approx(15 / 20)


def test_each_group_is_compared_with_all_known_images(values):
    seed, arch = values.unknown["seed"], values.unknown["arch"]
    assert (seed.images, arch.images) == (2, 1)
    assert (seed.figures["auc"], seed.figures["oscr"]) == (pytest.approx(5 / 10), pytest.approx(4 / 10))
    assert (arch.figures["auc"], arch.figures["oscr"]) == (pytest.approx(4.5 / 5), pytest.approx(3 / 5))
    assert arch.figures["tied_share"] == pytest.approx(1 / 5)


def test_all_means_all_unknown_images_together_and_not_the_mean_of_groups(values):
    everything = values.unknown["all"]
    assert everything.images == 3
    assert everything.figures["auc"] == pytest.approx((5 + 4.5) / 15)
    assert everything.figures["oscr"] == pytest.approx((4 + 3) / 15)


def test_a_group_without_images_has_no_figures(values):
    assert values.unknown["dataset"] == Curve(0, {})


def test_real_images_are_told_apart_by_whether_training_saw_their_source(values):
    assert values.real == RealImages(1, 0, pytest.approx(3 / 4), {"meadow": 1, "desert": 0})


def test_real_images_of_unknown_source_are_neither_seen_nor_unseen(predictions):
    nameless = replace(predictions, source=np.full(len(predictions.ids), ""))
    values = evaluate(nameless, replace(DATA, seen_sources=()))
    assert values.real == RealImages(None, None, values.closed_set.figures["accuracy"], {})


def test_hard_decisions_use_the_threshold_that_accepts_95_per_cent_of_validation_images(values):
    rejected = {"seed": 0, "arch": 1, "all": pytest.approx(1 / 3)}
    expected = Decisions(pytest.approx(0.1), pytest.approx(4 / 5), rejected, pytest.approx((3 + 1) / 8))
    assert values.decisions == expected


def test_every_unknown_class_has_a_line_with_what_it_is_taken_for(values):
    assert values.unknown_classes == (
        UnknownClass("seed", "a2", 2, pytest.approx(0.5), pytest.approx(0.525), "a", 1.0),
        UnknownClass("arch", "c", 1, pytest.approx(0.9), pytest.approx(0.05), "real", 1.0),
        UnknownClass("arch", "d", 0),
        UnknownClass("dataset", "e", 0),
    )


def test_other_confidences_are_judged_apart_in_the_same_way(values):
    other = values.variants["other"]
    assert other["seed"].figures["auc"] == pytest.approx(1 - 5 / 10)
    assert other["arch"].figures["auc"] == pytest.approx(1 - 4.5 / 5)
    assert set(values.variants) == {"other"}


def test_the_order_of_images_is_of_no_account(predictions, values):
    order = np.random.default_rng(0).permutation(len(predictions.ids))
    columns = ("part", "ids", "source", "label", "predicted", "confidence")
    shuffled = replace(
        predictions,
        **{name: getattr(predictions, name)[order] for name in columns},
        variants={"other": predictions.variants["other"][order]},
    )
    assert evaluate(shuffled, DATA) == values


def test_without_validation_images_there_is_no_threshold(predictions):
    values = evaluate(judged(TEST), DATA)
    assert values.decisions is None
    assert values.val_accuracy is None


def test_without_known_test_images_there_is_no_figure_of_either_kind():
    values = evaluate(judged(VAL + TEST[5:]), DATA)
    assert values.closed_set is None
    assert values.unknown["seed"] == Curve(2, {})
    assert values.unknown_classes[0] == UnknownClass("seed", "a2", 2)
    assert (values.decisions.known_accepted, values.decisions.k_plus_1_accuracy) == (None, None)


def test_official_figures_come_on_request_only_beside_the_exact_ones():
    known = [("known", "a", 1, guess, score) for guess, score in [(1, 0.9), (1, 0.8), (2, 0.7), (1, 0.6)]]
    rows = known + [("seed", "a2", 0, 1, score) for score in (0.85, 0.5, 0.3)]
    evaluations = [evaluate(judged(rows), DATA, official) for official in (False, True)]
    assert [evaluation.official for evaluation in evaluations] == [False, True]
    plain, both = (evaluation.unknown["seed"].figures for evaluation in evaluations)
    assert not any(name.startswith("official") for name in plain)
    assert (both["oscr"], both["official_oscr"]) == (pytest.approx(7 / 12), pytest.approx(0.5))
    assert both["official_auc"] == pytest.approx(0.75)


def test_a_stored_cell_is_evaluated_from_its_predictions_and_what_its_record_says(predictions, values, tmp_path):
    predictions.save(tmp_path)
    assert evaluate_cell(tmp_path, DATA) == values
    assert (values.metric_version, values.schema) == (VERSION, SCHEMA)
