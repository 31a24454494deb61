"""Metrics against paper and pencil, the pairwise definition and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score

from benchmark.metrics import open_set as metrics
from benchmark.metrics.open_set import METRICS

few = settings(derandomize=True, max_examples=60, deadline=None, database=None)
levels = st.integers(0, 6).map(lambda level: level / 6)  # seven levels: heavy ties
scores = st.lists(levels, min_size=1, max_size=25).map(np.array)
judged = st.lists(st.tuples(levels, st.booleans()), min_size=1, max_size=25).map(
    lambda pairs: (np.array([score for score, _ in pairs]), np.array([right for _, right in pairs]))
)
labelled = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30).map(
    lambda pairs: (np.array([true for true, _ in pairs]), np.array([guess for _, guess in pairs]))
)

A = {"known": [0.9, 0.8, 0.7, 0.6], "correct": [True, True, False, True], "unknown": [0.85, 0.5, 0.3]}
B = {"known": [0.9, 0.8, 0.8, 0.6], "correct": [True, True, False, True], "unknown": [0.8, 0.6, 0.3]}
BY_HAND = [
    (A, "auc", 9 / 12),
    (A, "oscr", 7 / 12),
    (A, "tied_share", 0),
    (A, "tnr_at_tpr", 2 / 3),
    (A, "fpr95", 1 / 3),
    (A, "dtacc", 5 / 6),
    (A, "auin", (1 + 2 / 3 + 3 / 4 + 4 / 5) / 4),
    (A, "auout", (1 + 1 + 3 / 6) / 3),
    (B, "auc", 9.5 / 12),
    (B, "oscr", 7 / 12),
    (B, "tied_share", 3 / 12),
    (B, "tnr_at_tpr", 1 / 3),
    (B, "dtacc", (3 / 4 + 2 / 3) / 2),
    (B, "auin", (1 + 2 * 3 / 4 + 4 / 6) / 4),
]


def value(name, data):
    return METRICS[name].function(**{need: np.array(data[need]) for need in METRICS[name].needs})


def pairs_won(known, unknown):
    """(K, U) 1 where the known image scores higher, 1/2 on a tie."""
    return (known[:, None] > unknown) + 0.5 * (known[:, None] == unknown)


@pytest.mark.parametrize(("data", "name", "expected"), BY_HAND)
def test_a_metric_gives_the_value_worked_out_by_hand(data, name, expected):
    assert value(name, data) == pytest.approx(expected, abs=1e-12)


@few
@given(judged, scores)
def test_auc_and_oscr_and_tied_share_are_means_over_all_pairs(known_correct, unknown):
    known, correct = known_correct
    won = pairs_won(known, unknown)
    assert metrics.auc(known, unknown) == pytest.approx(won.mean(), abs=1e-12)
    assert metrics.oscr(known, correct, unknown) == pytest.approx((won * correct[:, None]).mean(), abs=1e-12)
    assert metrics.tied_share(known, unknown) == pytest.approx((won == 0.5).mean(), abs=1e-12)


@few
@given(scores, scores)
def test_auc_and_average_precision_agree_with_scikit_learn(known, unknown):
    is_known = np.repeat([1, 0], [known.size, unknown.size])
    pooled = np.concatenate([known, unknown])
    assert metrics.auc(known, unknown) == pytest.approx(roc_auc_score(is_known, pooled))
    assert metrics.auin(known, unknown) == pytest.approx(average_precision_score(is_known, pooled))
    assert metrics.auout(known, unknown) == pytest.approx(average_precision_score(1 - is_known, -pooled))


@few
@given(labelled)
def test_macro_recall_and_f1_agree_with_scikit_learn_on_the_classes_present(pair):
    truth, guess = pair
    present = np.unique(truth)
    expected = {
        "macro_recall": recall_score(truth, guess, labels=present, average="macro"),
        "macro_f1": f1_score(truth, guess, labels=present, average="macro"),
    }
    for name, number in expected.items():
        assert METRICS[name].function(truth, guess) == pytest.approx(number)
    assert metrics.accuracy(truth, guess) == sum(t == g for t, g in zip(truth, guess, strict=True)) / truth.size


@few
@given(judged, scores)
def test_oscr_is_accuracy_times_the_auc_of_the_correct_and_exceeds_neither_factor(known_correct, unknown):
    known, correct = known_correct
    area, accuracy = metrics.oscr(known, correct, unknown), correct.mean()
    assert area <= min(metrics.auc(known, unknown), accuracy) + 1e-12
    assert area == pytest.approx(accuracy * metrics.auc(known[correct], unknown) if correct.any() else 0)
    assert metrics.oscr(known, np.full(known.size, True), unknown) == metrics.auc(known, unknown)


@few
@given(judged, scores, st.randoms(use_true_random=False))
def test_order_and_increasing_maps_of_the_scores_change_nothing(known_correct, unknown, random):
    known, correct = known_correct
    order = random.sample(range(known.size), known.size)
    data = {"known": known, "correct": correct, "unknown": unknown}
    moved = {"known": np.exp(3 * known[order]), "correct": correct[order], "unknown": np.exp(3 * unknown[::-1])}
    for name, metric in METRICS.items():
        if "known" in metric.needs:
            assert value(name, moved) == pytest.approx(value(name, data), abs=1e-12), name


@few
@given(labelled, st.permutations(range(5)))
def test_renaming_the_classes_changes_nothing(pair, names):
    truth, guess = pair
    renamed = np.array(names)
    for function in (metrics.accuracy, metrics.macro_recall, metrics.macro_f1):
        assert function(renamed[truth], renamed[guess]) == pytest.approx(function(truth, guess))


def test_the_pooled_value_is_the_mean_of_the_groups_weighted_by_their_classes():
    rng = np.random.default_rng(0)
    known, correct = rng.normal(1, 1, 90), rng.random(90) < 0.8
    groups = {classes: rng.normal(0, 1, 4 * classes) for classes in (10, 22, 21)}
    pooled = np.concatenate(list(groups.values()))
    for area in (metrics.auc, lambda known, unknown: metrics.oscr(known, correct, unknown)):
        weighted = sum(classes * area(known, unknown) for classes, unknown in groups.items()) / 53
        assert area(known, pooled) == pytest.approx(weighted)


@few
@given(scores, scores)
def test_detection_metrics_are_what_their_thresholds_say(known, unknown):
    candidates = np.concatenate([known, unknown, [2.0]])
    balanced = [(np.mean(known >= t) + np.mean(unknown < t)) / 2 for t in candidates]
    threshold = max(t for t in known if np.mean(known >= t) >= 0.95)
    assert metrics.dtacc(known, unknown) == pytest.approx(max(balanced))
    assert metrics.tnr_at_tpr(known, unknown) == np.mean(unknown < threshold)
    assert metrics.fpr95(known, unknown) == np.mean(unknown >= threshold)


PERFECT = {"known": [3.0, 4.0], "correct": [True, True], "unknown": [1.0, 2.0], "labels": [0, 1], "predicted": [0, 1]}
EQUAL = {**PERFECT, "known": [1.0, 1.0], "correct": [True, False], "unknown": [1.0, 1.0], "predicted": [0, 0]}
WORST = {**PERFECT, "known": [1.0, 2.0], "unknown": [3.0, 4.0], "predicted": [1, 0]}


@pytest.mark.parametrize("metric", [m for m in METRICS.values() if m.better != "neither"], ids=lambda m: m.name)
def test_a_perfect_separation_gives_the_best_value(metric):
    assert value(metric.name, PERFECT) == (metric.high if metric.better == "higher" else metric.low)


@pytest.mark.parametrize(
    ("name", "equal", "worst"),
    [
        ("accuracy", 0.5, 0),
        ("macro_recall", 0.5, 0),
        ("macro_f1", 1 / 3, 0),
        ("auc", 0.5, 0),
        ("oscr", 0.25, 0),
        ("tnr_at_tpr", 0, 0),
        ("fpr95", 1, 1),
        ("dtacc", 0.5, 0.5),
        ("auin", 0.5, (1 / 3 + 2 / 4) / 2),
        ("auout", 0.5, (1 / 3 + 2 / 4) / 2),
        ("tied_share", 1, 0),
    ],
)
def test_equal_scores_are_chance_and_inverted_scores_the_worst(name, equal, worst):
    assert value(name, EQUAL) == pytest.approx(equal)
    assert value(name, WORST) == pytest.approx(worst)


@few
@given(judged, scores, labelled)
def test_every_metric_stays_in_its_declared_range(known_correct, unknown, pair):
    data = dict(
        zip(("known", "correct", "unknown", "labels", "predicted"), (*known_correct, unknown, *pair), strict=True)
    )
    for metric in METRICS.values():
        assert metric.low <= value(metric.name, data) <= metric.high, metric.name


def test_the_table_names_direction_and_source_of_every_metric():
    assert list(METRICS) == [metric.function.__name__ for metric in METRICS.values()]
    assert all(metric.title and metric.source for metric in METRICS.values())
    assert METRICS["oscr"].needs == ("known", "correct", "unknown")
    assert METRICS["tnr_at_tpr"].needs == ("known", "unknown")
    assert [METRICS[name].heading for name in ("auc", "fpr95", "tied_share")] == ["AUC ↑", "FPR95 ↓", "Tied pairs"]


@pytest.mark.parametrize("percent", [1, 55, 95, 100])
def test_the_threshold_accepts_the_smallest_number_of_distinct_scores_that_is_enough(percent):
    for size in range(1, 201):
        values = np.random.default_rng(size).permutation(size) / size
        accepted = np.count_nonzero(values >= metrics.threshold_accepting(values, percent / 100))
        assert accepted == -(-percent * size // 100), size


def test_the_threshold_accepts_all_scores_tied_with_it():
    assert metrics.threshold_accepting(np.array([0.2] * 4 + [0.5] * 92 + [0.9] * 4)) == 0.5


def test_below_twenty_known_images_the_lowest_known_score_decides():
    known = np.linspace(0.4, 1, 19)
    assert metrics.tnr_at_tpr(known, np.array([0.39, 0.4, 0.5])) == pytest.approx(1 / 3)


def test_a_class_without_images_counts_neither_for_nor_against():
    assert metrics.macro_recall([3, 3, 3, 3], [3, 3, 7, 3]) == 0.75
    assert metrics.macro_f1([3, 3, 3, 3], [3, 3, 7, 3]) == pytest.approx(6 / 7)


def test_half_a_million_images_need_no_table_of_pairs():
    ranks = np.arange(250_000.0)
    assert metrics.auc(ranks + 0.5, ranks) == pytest.approx(0.5 + 0.5 / ranks.size, abs=1e-12)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if "known" in metric.needs])
@pytest.mark.parametrize(
    ("argument", "bad", "message"),
    [
        ("known", [], "known: empty, 0 scores"),
        ("unknown", [], "unknown: empty, 0 scores"),
        ("known", [0.1, math.nan, 0.2, -math.inf], "known: 2 of 4 scores are NaN or infinite"),
        ("unknown", [math.inf], "unknown: 1 of 1 scores are NaN or infinite"),
        ("unknown", [[0.1, 0.9]], r"unknown: expected one score per image, got shape \(1, 2\)"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused_by_name_and_count(name, argument, bad, message):
    with pytest.raises(ValueError, match=message):
        value(name, {**A, argument: bad})


@pytest.mark.parametrize(
    ("correct", "message"),
    [([1, 1, 0, 1], "correct: expected booleans, got int64"), ([True], "different lengths: known 4, correct 1")],
)
def test_oscr_refuses_flags_that_do_not_fit(correct, message):
    with pytest.raises(ValueError, match=message):
        value("oscr", {**A, "correct": correct})


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 1], [0], "different lengths: labels 2, predicted 1"),
        ([0, 1], [0.0, 1.0], "predicted: expected integers, got float64"),
        ([[0, 1]], [0, 1], r"labels: expected one number per image, got shape \(1, 2\)"),
    ],
)
def test_class_numbers_that_do_not_fit_are_refused(labels, predicted, message):
    with pytest.raises(ValueError, match=message):
        metrics.accuracy(np.array(labels), np.array(predicted))


@pytest.mark.parametrize("share", [0, -0.1, 1.01, math.nan])
def test_a_share_outside_its_range_is_refused(share):
    with pytest.raises(ValueError, match="share: expected a number in"):
        metrics.threshold_accepting(np.array([0.5]), share)
