"""Figures of a cell, worked out with paper and pencil from a dozen predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmark.evaluation.evaluator import Classes, evaluate, evaluate_stored
from benchmark.evaluation.predictions import PARTS, Predictions
from benchmark.metrics import open_set as metrics

CLASSES = Classes(("real", "a", "b"), {"seed": ("a2",), "arch": ("c", "d"), "dataset": ("e",)})
SEEN = frozenset({"meadow"})

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
    return evaluate(predictions, CLASSES, SEEN)


def test_the_closed_set_is_judged_on_known_test_images_alone(values):
    assert values["accuracy"] == pytest.approx(3 / 5)
    assert values["macro_recall"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert values["macro_f1"] == pytest.approx((2 / 3 + 2 / 4 + 2 / 3) / 3)
    assert values["classes_present"] == 3
    assert values["confusion"] == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert values["val_accuracy"] == pytest.approx(15 / 20)


def test_each_group_is_compared_with_all_known_images(values):
    seed, arch = values["groups"]["seed"], values["groups"]["arch"]
    assert (seed["images"], seed["auc"], seed["oscr"]) == (2, pytest.approx(5 / 10), pytest.approx(4 / 10))
    assert (arch["images"], arch["auc"], arch["oscr"]) == (1, pytest.approx(4.5 / 5), pytest.approx(3 / 5))
    assert arch["tied_share"] == pytest.approx(1 / 5)


def test_all_means_all_unknown_images_together_and_not_the_mean_of_groups(values):
    everything = values["groups"]["all"]
    assert everything["images"] == 3
    assert everything["auc"] == pytest.approx((5 + 4.5) / 15)
    assert everything["oscr"] == pytest.approx((4 + 3) / 15)


def test_a_group_without_images_has_no_figures(values):
    empty = values["groups"]["dataset"]
    assert empty["images"] == 0
    assert all(value is None for name, value in empty.items() if name != "images")
    assert set(empty) == set(values["groups"]["all"])


def test_real_images_are_told_apart_by_whether_training_saw_their_source(values):
    assert values["accuracy_seen_real"] == 1
    assert values["accuracy_unseen_real"] == 0
    assert values["accuracy_without_unseen_real"] == pytest.approx(3 / 4)
    assert values["accuracy_by_real_source"] == {"meadow": 1, "desert": 0}


def test_real_images_of_unknown_source_are_neither_seen_nor_unseen(predictions):
    nameless = replace(predictions, source=np.full(len(predictions.ids), ""))
    values = evaluate(nameless, CLASSES, frozenset())
    assert values["accuracy_seen_real"] is None
    assert values["accuracy_unseen_real"] is None
    assert values["accuracy_by_real_source"] == {}
    assert values["accuracy_without_unseen_real"] == values["accuracy"]


def test_hard_decisions_use_the_threshold_that_accepts_95_per_cent_of_validation_images(values):
    decisions = values["decisions"]
    assert decisions["threshold"] == pytest.approx(0.1)
    assert decisions["known_accepted"] == pytest.approx(4 / 5)
    assert decisions["unknown_rejected"] == {"seed": 0, "arch": 1, "dataset": None, "all": pytest.approx(1 / 3)}
    assert decisions["k_plus_1_accuracy"] == pytest.approx((3 + 1) / 8)


def test_every_unknown_class_has_a_line_with_what_it_is_taken_for(values):
    assert values["unknown_classes"] == [
        {
            "group": "seed", "class": "a2", "images": 2, "auc": pytest.approx(0.5),
            "mean_confidence": pytest.approx(0.525), "taken_for": "a", "taken_for_share": 1.0,
        },
        {
            "group": "arch", "class": "c", "images": 1, "auc": pytest.approx(0.9),
            "mean_confidence": pytest.approx(0.05), "taken_for": "real", "taken_for_share": 1.0,
        },
        {
            "group": "arch", "class": "d", "images": 0, "auc": None,
            "mean_confidence": None, "taken_for": None, "taken_for_share": None,
        },
        {
            "group": "dataset", "class": "e", "images": 0, "auc": None,
            "mean_confidence": None, "taken_for": None, "taken_for_share": None,
        },
    ]  # fmt: skip


def test_other_confidences_are_judged_apart_in_the_same_way(values):
    other = values["variants"]["other"]
    assert other["seed"]["auc"] == pytest.approx(1 - 5 / 10)
    assert other["arch"]["auc"] == pytest.approx(1 - 4.5 / 5)
    assert set(values["variants"]) == {"other"}


def test_the_order_of_images_is_of_no_account(predictions, values):
    order = np.random.default_rng(0).permutation(len(predictions.ids))
    columns = ("part", "ids", "source", "label", "predicted", "confidence")
    shuffled = replace(
        predictions,
        **{name: getattr(predictions, name)[order] for name in columns},
        variants={"other": predictions.variants["other"][order]},
    )
    assert evaluate(shuffled, CLASSES, SEEN) == values


def test_without_validation_images_there_is_no_threshold(predictions):
    values = evaluate(judged(TEST), CLASSES, SEEN)
    assert values["decisions"] == {"threshold": None}
    assert values["val_accuracy"] is None


def test_without_known_test_images_there_is_no_figure_of_either_kind():
    values = evaluate(judged(VAL + TEST[5:]), CLASSES, SEEN)
    assert values["accuracy"] is None
    assert values["confusion"] == []
    assert values["groups"]["seed"]["auc"] is None
    assert values["unknown_classes"][0]["auc"] is None


def test_official_figures_come_on_request_only_beside_the_exact_ones():
    known = [("known", "a", 1, guess, score) for guess, score in [(1, 0.9), (1, 0.8), (2, 0.7), (1, 0.6)]]
    rows = known + [("seed", "a2", 0, 1, score) for score in (0.85, 0.5, 0.3)]
    plain, both = (evaluate(judged(rows), CLASSES, SEEN, official)["groups"]["seed"] for official in (False, True))
    assert not any(name.startswith("official") for name in plain)
    assert (both["oscr"], both["official_oscr"]) == (pytest.approx(7 / 12), pytest.approx(0.5))
    assert both["official_auc"] == pytest.approx(0.75)


def test_a_stored_cell_is_evaluated_from_its_predictions_and_what_its_record_says(predictions, values, tmp_path):
    predictions.save(tmp_path)
    data = {"known": CLASSES.known, "unknown": CLASSES.unknown, "seen_sources": sorted(SEEN)}
    assert evaluate_stored(tmp_path, data) == values
    assert values["metric_version"] == metrics.VERSION
