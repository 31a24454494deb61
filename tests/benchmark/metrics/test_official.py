"""The official variants against a step-by-step walk along the curve and against the exact metrics."""

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics import official as official_metrics
from benchmark.metrics import open_set as metrics
from benchmark.metrics.official import OFFICIAL_METRICS

few = settings(derandomize=True, max_examples=60, deadline=None, database=None)
levels = st.integers(0, 6).map(lambda level: level / 6)
scores = st.lists(levels, min_size=1, max_size=25).map(np.array)
judged = st.lists(st.tuples(levels, st.booleans()), min_size=1, max_size=25).map(
    lambda pairs: (np.array([score for score, _ in pairs]), np.array([right for _, right in pairs]))
)

CORRECT = [True, True, False, True]
A = {"known": [0.9, 0.8, 0.7, 0.6], "correct": CORRECT, "unknown": [0.85, 0.5, 0.3]}
B = {"known": [0.9, 0.8, 0.8, 0.6], "correct": CORRECT, "unknown": [0.8, 0.6, 0.3]}


def value(name, data):
    metric = OFFICIAL_METRICS[name]
    return metric.function(**{need: np.array(data[need]) for need in metric.needs})


def removal(known, unknown):
    """Known and unknown samples left, step by step, lowest score first, the known of a tie first."""
    known, unknown = sorted(known), sorted(unknown)
    steps = [(len(known), len(unknown))]
    while known or unknown:
        known_goes = bool(known) and (not unknown or known[0] <= unknown[0])
        (known if known_goes else unknown).pop(0)
        steps.append((len(known), len(unknown)))
    return steps


def trapezoids(points):
    """Area under the polygon through (x, y) points, whichever way x runs."""
    return abs(math.fsum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(points)))


def walked(known, unknown):
    """All curve metrics from the explicit walk."""
    steps = removal(known, unknown)
    K, U = steps[0]
    nearest = min(range(len(steps)), key=lambda i: abs(steps[i][0] / K - 0.95))
    auin = [(k / K, k / (k + u)) for k, u in steps if k + u]
    auout = [((U - u) / U, (U - u) / (K - k + U - u)) for k, u in steps if (k, u) != (K, U)]
    return {
        "official_auc": trapezoids([(k / K, 1 - u / U) for k, u in steps]),
        "official_tnr": 1 - steps[nearest][1] / U,
        "official_dtacc": max(k / K + 1 - u / U for k, u in steps) / 2,
        "official_auin": trapezoids([(1, 0.5), *auin, (0, 0)]),
        "official_auout": trapezoids([(0, 0), *auout, (1, 0.5)]),
    }


def oscr_in_order(kinds):
    """The released OSCR for samples in ascending order: c(orrect), w(rong) or u(nknown)."""
    K, U = len(kinds) - kinds.count("u"), kinds.count("u")
    points = [(kinds[rank:].count("u") / U, kinds[rank + 1 :].count("c") / K) for rank in range(len(kinds) - 1)]
    return trapezoids(sorted([*points, (0.0, 0.0), (0.0, 0.0), (1.0, 1.0)], reverse=True))


def sample_kinds(known, correct, unknown):
    kinds = [(score, "c" if right else "w") for score, right in zip(known, correct, strict=True)]
    return kinds + [(score, "u") for score in unknown]


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (A, "official_auc", 0.75),
        (A, "official_oscr", 0.5),
        (A, "official_tnr", 0),
        (A, "official_dtacc", 0.833333),
        (A, "official_auin", 0.641667),
        (A, "official_auout", 0.65),
        (B, "official_auc", 0.666667),
        (B, "official_dtacc", 0.708333),
        (B, "official_auin", 0.60625),
        (B, "official_auout", 0.511111),
    ],
)
def test_a_variant_gives_the_value_worked_out_by_hand(data, name, expected):
    assert value(name, data) == pytest.approx(expected, abs=1e-6)


@few
@given(scores, scores)
def test_the_curve_metrics_follow_the_walk_that_loses_every_tie(known, unknown):
    for name, expected in walked(known, unknown).items():
        assert OFFICIAL_METRICS[name].function(known, unknown) == pytest.approx(expected, abs=1e-12), name


@few
@given(scores, scores)
def test_official_auc_loses_half_the_tied_pairs_and_dtacc_loses_nothing(known, unknown):
    lost = metrics.auc(known, unknown) - official_metrics.official_auc(known, unknown)
    assert lost == pytest.approx(metrics.tied_share(known, unknown) / 2, abs=1e-12)
    assert official_metrics.official_dtacc(known, unknown) == pytest.approx(metrics.dtacc(known, unknown))


@few
@given(st.lists(st.sampled_from("cwu"), min_size=2, max_size=60).filter(lambda kinds: {"u"} < set(kinds)))
def test_without_ties_official_oscr_is_the_exact_one_minus_half_a_pair_per_correct_known_after_an_unknown(kinds):
    kinds = np.array(kinds)
    height = np.arange(kinds.size) / kinds.size
    known, correct, unknown = height[kinds != "u"], kinds[kinds != "u"] == "c", height[kinds == "u"]
    followed = "".join(kinds).count("uc")
    exact = metrics.oscr(known, correct, unknown) - followed / (2 * known.size * unknown.size)
    official = official_metrics.official_oscr(known, correct, unknown)
    assert official == pytest.approx(exact, abs=1e-12)
    assert official == pytest.approx(oscr_in_order("".join(kinds)), abs=1e-12)


def test_vector_b_has_several_released_oscr_values_and_ours_is_the_lowest():
    orders = permutations(sample_kinds(**B))
    ties_kept = [order for order in orders if all(a <= b for (a, _), (b, _) in pairwise(order))]
    reachable = {round(oscr_in_order("".join(kind for _, kind in order)), 6) for order in ties_kept}
    assert {0.416667, 0.583333} <= reachable
    assert value("official_oscr", B) == pytest.approx(min(reachable), abs=1e-6) == pytest.approx(0.375)


@few
@given(judged, scores, st.randoms(use_true_random=False))
def test_official_oscr_is_the_lowest_over_the_orders_of_ties_and_does_not_depend_on_image_order(
    known_correct, unknown, random
):
    known, correct = known_correct
    official = official_metrics.official_oscr(known, correct, unknown)
    shuffled = random.sample(range(known.size), known.size)
    assert official_metrics.official_oscr(known[shuffled], correct[shuffled], unknown) == official
    samples = sample_kinds(known, correct, unknown)
    for _ in range(5):
        random.shuffle(samples)
        some_order = "".join(kind for _, kind in sorted(samples, key=lambda sample: sample[0]))
        assert official <= oscr_in_order(some_order) + 1e-12
    worst_order = sorted(samples, key=lambda sample: (sample[0], "cwu".index(sample[1])))
    assert official == pytest.approx(oscr_in_order("".join(kind for _, kind in worst_order)), abs=1e-12)


def test_without_ties_and_with_many_images_official_and_exact_values_agree():
    rng = np.random.default_rng(0)
    known, unknown, correct = rng.normal(1.5, 1, 4000), rng.normal(0, 1, 6000), rng.random(4000) < 0.9
    data = {"known": known, "unknown": unknown, "correct": correct}
    bound = 0.5 / 6000
    for exact, tolerance in {"auc": 1e-12, "oscr": bound, "dtacc": 1e-12, "auin": 2e-4, "auout": 2e-4}.items():
        metric = metrics.METRICS[exact]
        expected = metric.function(**{need: data[need] for need in metric.needs})
        assert value(f"official_{exact}", data) == pytest.approx(expected, abs=tolerance), exact


def test_official_tnr_is_taken_one_known_image_too_early():
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(1.5, 1, 400), rng.normal(0, 1, 600)
    ranked = np.sort(known)  # TPR 0.95 is reached after 20 of 400 are gone
    assert official_metrics.official_tnr(known, unknown) == pytest.approx(np.mean(unknown < ranked[19]))
    assert metrics.tnr_at_tpr(known, unknown) == np.mean(unknown < ranked[20])


def test_equal_scores_give_zero_and_not_chance():
    data = {"known": [0.5] * 4, "correct": CORRECT, "unknown": [0.5] * 3}
    assert value("official_auc", data) == value("official_oscr", data) == value("official_tnr", data) == 0
    assert value("official_dtacc", data) == 0.5


@pytest.mark.parametrize("images", range(1, 10))
def test_with_fewer_than_ten_known_images_official_tnr_is_zero_even_for_a_perfect_score(images):
    assert official_metrics.official_tnr(np.arange(1.0, 1 + images), np.zeros(3)) == 0


@pytest.mark.parametrize("name", OFFICIAL_METRICS)
def test_a_variant_leaves_its_inputs_as_they_are(name):
    rng = np.random.default_rng(1)
    data = {"known": rng.random(9), "correct": rng.random(9) < 0.5, "unknown": rng.random(7)}
    for array in data.values():
        array.flags.writeable = False
    metric = OFFICIAL_METRICS[name]
    assert metric.low <= metric.function(**{need: data[need] for need in metric.needs}) <= metric.high


@pytest.mark.parametrize("name", OFFICIAL_METRICS)
def test_a_variant_refuses_what_the_exact_metric_refuses(name):
    with pytest.raises(ValueError, match="unknown: empty, 0 scores"):
        value(name, {**A, "unknown": []})
    with pytest.raises(ValueError, match="known: 1 of 4 scores are NaN or infinite"):
        value(name, {**A, "known": [0.1, 0.2, math.nan, 0.3]})
