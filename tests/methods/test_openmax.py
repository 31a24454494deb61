"""OpenMax: hand-computed values, the query image by image, SciPy's Weibull fit, and what happens at the edges."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import softmax as scipy_softmax

from methods.core.method import Floats, Task
from methods.openmax import (
    ClassModels,
    OpenMax,
    OpenMaxConfig,
    distances,
    fit_classes,
    fit_gumbel_min,
    outlier_probabilities,
    revise,
)
from tests.methods.data import accuracy, class_names, fit, make_run, textures

EVEN_TAIL = np.linspace(1.0, 2.9, 20)
LOGITS = np.array([[4.0, 1.0, -1.0]])


def probabilities(logits: Floats, outlying: Floats, alpha: int, positive_only: bool = False) -> Floats:
    """The whole (K + 1)-way softmax, "unknown" first, by SciPy."""
    unknown, revised = revise(logits, outlying, alpha, positive_only)
    return scipy_softmax(np.column_stack([unknown, revised]), axis=1)


def gumbel(d: Any, tail: Floats) -> Floats:
    """Outlier probability of distances to one class whose tail is given."""
    location, scale = fit_gumbel_min(tail)
    fitted, tails = np.array([True]), np.array([len(tail)])
    models = ClassModels(np.zeros((1, 1)), np.array([location]), np.array([scale]), fitted, tails)
    return outlier_probabilities(np.atleast_1d(d)[:, None], models)[:, 0]


def clusters(per_class: int = 60, classes: int = 4, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Logits (N, K) that scatter around 8 times the unit vectors, all classified correctly, and their labels."""
    labels = np.repeat(np.arange(classes), per_class)
    noise = np.random.default_rng(seed).standard_normal((len(labels), classes))
    return 8 * np.eye(classes)[labels] + np.clip(noise, -2, 2), labels


def fitted(logits: Floats, labels: NDArray[np.int64], **settings: Any) -> OpenMax:
    method = OpenMax(OpenMaxConfig(**settings), make_run())
    method.task = Task(class_names(logits.shape[1]), 64)
    method.fit_outputs(logits, np.zeros((len(logits), 1), np.float32), labels)
    return method


def score(method: OpenMax, logits: Floats) -> tuple[Floats, Floats, Floats]:
    scores, confidence, variants = method.score(logits, np.zeros((len(logits), 1), np.float32))
    return scores, confidence, variants["one_minus_p0"]


# -- query -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outlying", "alpha", "expected"),
    [
        ((0.0, 0.0, 0.0), 3, (0.01704, 0.93037, 0.04632, 0.00627)),
        ((0.5, 0.2, 0.9), 2, (0.44423, 0.40196, 0.13380, 0.02001)),
        ((0.5, 0.2, 0.9), 3, (0.37863, 0.44730, 0.14401, 0.03006)),
    ],
)
def test_the_revised_softmax_has_the_values_computed_by_hand(
    outlying: tuple[float, ...], alpha: int, expected: tuple[float, ...]
) -> None:
    np.testing.assert_allclose(probabilities(LOGITS, np.array([outlying]), alpha)[0], expected, atol=6e-6)


def test_certain_outliers_pass_the_whole_leading_logit_to_unknown() -> None:
    unknown, revised = revise(LOGITS, np.ones((1, 3)), 3)
    np.testing.assert_allclose(revised, [[0, 1 / 3, -2 / 3]], atol=1e-15)
    assert unknown[0] == pytest.approx(13 / 3)
    assert probabilities(LOGITS, np.ones((1, 3)), 3)[0, 0] == pytest.approx(0.96323, abs=5e-6)


def test_negative_logits_feed_a_negative_share_unless_they_are_left_out() -> None:
    logits, certain = np.array([[4.0, -3.0, -5.0]]), np.ones((1, 3))
    assert probabilities(logits, certain, 1)[0, 0] == pytest.approx(0.981, abs=5e-4)
    assert probabilities(logits, certain, 3)[0, 0] == pytest.approx(0.499, abs=5e-4)
    assert probabilities(logits, certain, 3, positive_only=True)[0, 0] == pytest.approx(0.981, abs=5e-4)


def test_logits_are_moved_and_never_lost() -> None:
    rng = np.random.default_rng(0)
    logits, outlying = 5 * rng.standard_normal((50, 7)), rng.random((50, 7))
    for alpha in (1, 3, 7, 10):
        unknown, revised = revise(logits, outlying, alpha)
        np.testing.assert_allclose(unknown + revised.sum(axis=1), logits.sum(axis=1), atol=1e-12)


def test_many_images_at_once_are_revised_as_one_by_one_in_plain_loops() -> None:
    rng = np.random.default_rng(1)
    logits, outlying, alpha = 5 * rng.standard_normal((30, 6)), rng.random((30, 6)), 4
    unknown, revised = revise(logits, outlying, alpha)
    for row in range(30):
        ranked = sorted(range(6), key=lambda c: -logits[row, c])
        moved = 0.0
        for i in range(1, 7):
            c = ranked[i - 1]
            weight = (alpha + 1 - i) / alpha if i <= alpha else 0.0
            new = logits[row, c] * (1 - weight * outlying[row, c])
            moved += logits[row, c] - new
            assert revised[row, c] == pytest.approx(new)
        assert unknown[row] == pytest.approx(moved)


def test_more_ranks_than_classes_mean_all_classes() -> None:
    outlying = np.array([[0.5, 0.2, 0.9]])
    np.testing.assert_array_equal(probabilities(LOGITS, outlying, 10), probabilities(LOGITS, outlying, 3))


# -- distances ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mean", "expected"),
    [
        ("euclidean", (6.0, 8.0), 5.0),
        ("cosine", (6.0, 8.0), 0.0),
        ("eucos", (6.0, 8.0), 0.025),
        ("cosine", (4.0, -3.0), 1.0),
        ("eucos", (4.0, -3.0), 1.035355),
    ],
)
def test_distances_have_the_values_computed_by_hand(kind: Any, mean: tuple[float, float], expected: float) -> None:
    assert distances(np.array([[3.0, 4.0]]), np.array([mean]), kind, 1 / 200) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["cosine", "eucos"])
def test_a_zero_vector_is_an_outlier_of_every_class_where_the_cosine_counts(kind: Any) -> None:
    method = fitted(*clusters(), distance=kind)
    zero, other = method.distances(np.array([[0.0] * 4, [8.0, 0, 0, 0]]))
    assert (outlier_probabilities(zero[None], method.model) == 1).all()
    assert outlier_probabilities(other[None], method.model)[0, 0] < 0.5
    assert np.isfinite(score(method, np.zeros((1, 4)))[0]).all()


# -- the extreme-value fit ---------------------------------------------------------------------------


def test_a_tail_of_two_points_has_the_closed_solution() -> None:
    location, scale = fit_gumbel_min(np.array([0.0, 1.0]))
    assert (1 / scale) * np.tanh(0.5 / scale) == pytest.approx(2)
    np.testing.assert_allclose((location, scale), (0.747325, 0.416778), atol=1e-6)
    np.testing.assert_allclose(gumbel([0.0, 1.0], np.array([0.0, 1.0])), [0.153329, 0.840156], atol=1e-6)


def test_an_even_tail_has_the_values_of_libmr() -> None:
    np.testing.assert_allclose(fit_gumbel_min(EVEN_TAIL), (2.236937, 0.521233), atol=1e-6)
    libmr = [0.01358, 0.08897, 0.21589, 0.46993, 0.80919, 0.97180, 0.99999]
    # LibMR's Weibull on distances shifted to 10000 and the Gumbel distribution agree to about 1e-5.
    np.testing.assert_allclose(gumbel([0, 1, 1.5, 2, 2.5, 2.9, 3.5], EVEN_TAIL), libmr, atol=2e-5)


@pytest.mark.parametrize("seed", range(4))
def test_the_fit_agrees_with_scipy_on_raw_and_on_shifted_tails(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tail = [rng.exponential(1, 20), rng.normal(9, 2, 25), rng.uniform(0, 1, 5), rng.gamma(2, 3, 200)][seed]
    location, scale = fit_gumbel_min(tail)
    assert (location, scale) == pytest.approx(stats.gumbel_l.fit(tail), rel=1e-5)
    shift = 10000 - tail.min()
    shape, _, size = stats.weibull_min.fit(tail + shift, floc=0)
    d = np.linspace(tail.min() - 1, tail.max() + 1, 50)
    weibull = -np.expm1(-(((d + shift) / size) ** shape))
    np.testing.assert_allclose(gumbel(d, tail), weibull, atol=1e-3)


def test_the_outlier_probability_rises_with_distance_and_follows_shift_and_scale() -> None:
    tail = np.sort(np.random.default_rng(0).exponential(1, 20))
    d = np.linspace(0, 10, 400)
    w = gumbel(d, tail)
    assert (np.diff(w) >= 0).all()
    assert (w[0] >= 0, w[-1]) == (True, 1)
    np.testing.assert_allclose(gumbel(d + 37, tail + 37), w, atol=1e-9)
    np.testing.assert_allclose(gumbel(100 * d, 100 * tail), w, atol=1e-9)


@pytest.mark.parametrize("tail", [np.array([5.0] * 19 + [6.0]), np.array([5.0] + [6.0] * 19), np.array([1e6, 1e6 + 1])])
def test_lopsided_tails_are_fitted_where_the_likelihood_is_largest(tail: Floats) -> None:
    location, scale = fit_gumbel_min(tail)
    best = stats.gumbel_l.logpdf(tail, location, scale).sum()
    for factor in (0.99, 1.01):
        assert stats.gumbel_l.logpdf(tail, location, scale * factor).sum() < best
        assert stats.gumbel_l.logpdf(tail, location + scale * (factor - 1), scale).sum() < best


def test_distances_beyond_all_bounds_are_certain_outliers_without_a_warning() -> None:
    assert gumbel([1e300, np.inf, np.nan], EVEN_TAIL).tolist() == [1, 1, 1]
    assert gumbel([0.0], np.array([1e9, 1e9 + 2]))[0] == 0


# -- classes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "asked", "size"),
    [(2, 20, 2), (5, 20, 5), (19, 20, 19), (20, 20, 20), (40, 20, 20), (199, 20, 20), (999, 20, 20), (40, 5, 5)],
)
def test_the_tail_has_the_length_that_is_asked_for_or_that_of_the_whole_class(n: int, asked: int, size: int) -> None:
    logits, labels = clusters(n, classes=2)
    models = fit_classes(logits, labels, OpenMaxConfig(tail=asked))
    far = np.sort(np.linalg.norm(logits[:n] - logits[:n].mean(axis=0), axis=1))
    assert models.tails.tolist() == [size, size]
    if n > 2:  # two images lie equally far from their mean
        assert (models.location[0], models.scale[0]) == pytest.approx(fit_gumbel_min(far[-size:]))


def test_a_tail_of_two_of_three_distances_has_the_values_computed_by_hand() -> None:
    logits = np.array([[6.0, 0], [11, 0], [13, 0], [0, 13], [0, 11], [0, 6]])  # distances 4, 1, 3 from (10, 0)
    models = fit_classes(logits, np.array([0, 0, 0, 1, 1, 1]), OpenMaxConfig(tail=2))
    # The closed solution of the tail (0, 1), moved by 3.
    np.testing.assert_allclose(models.location, [3.747325] * 2, atol=1e-6)
    np.testing.assert_allclose(models.scale, [0.416778] * 2, atol=1e-6)
    assert models.tails.tolist() == [2, 2]


def test_every_candidate_of_the_search_is_a_fit_of_its_own() -> None:
    models = [fit_classes(*clusters(24), OpenMaxConfig(tail=tail)) for tail in OpenMax.SEARCH["tail"]]
    assert len({model.location[0] for model in models}) == len(models) == 3


def test_a_tail_that_is_shorter_than_asked_for_is_told_and_all_are_noted(caplog: pytest.LogCaptureFixture) -> None:
    logits, labels = clusters()
    with caplog.at_level(logging.WARNING):
        method = fitted(logits[10:], labels[10:], tail=55)
    assert caplog.messages == ["1 of 4 classes have tails shorter than 55; least 50"]
    (row,) = method.run.history.rows
    assert (row["shortest_tail"], row["longest_tail"]) == (50, 55)
    caplog.clear()
    fitted(logits, labels, tail=55)
    assert caplog.messages == []


def test_means_come_from_correctly_classified_images_unless_told_otherwise() -> None:
    logits, labels = clusters()
    logits[0] = [0.0, 100.0, 0.0, 0.0]  # of class 0, taken for class 1
    filtered, whole = (fit_classes(logits, labels, OpenMaxConfig(filter_correct=f)) for f in (True, False))
    np.testing.assert_allclose(filtered.means[0], logits[1:60].mean(axis=0))
    np.testing.assert_allclose(whole.means[0], logits[:60].mean(axis=0))


def test_a_class_with_four_correct_images_uses_all_its_images() -> None:
    logits, labels = clusters()
    logits[4:60] = logits[60:116]  # 56 of 60 images of class 0 look like class 1
    models = fit_classes(logits, labels, OpenMaxConfig())
    np.testing.assert_allclose(models.means[0], logits[:60].mean(axis=0))
    assert models.fitted.all()


@pytest.mark.parametrize("rows", [0, 1, 2, 6])
def test_a_class_without_distinct_distances_is_reported_and_calls_nothing_an_outlier(
    rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    logits, labels = clusters(classes=3)
    logits[:rows] = [9.0, 0.1, 0.2]
    kept = np.r_[:rows, 60:180]
    with caplog.at_level(logging.WARNING):
        method = fitted(logits[kept], labels[kept])
    assert method.model.fitted.tolist() == [False, True, True]
    assert "class 'real'" in caplog.text
    far = method.distances(np.array([[1e3, -1e3, 1e3]]))
    assert outlier_probabilities(far, method.model)[0].tolist() == [0, 1, 1]


def test_two_images_at_equal_distance_up_to_rounding_make_no_tail() -> None:
    logits, labels = clusters(classes=3)
    pair = np.array([[0.3, 0.1, 0.1], [0.7, 0.2, 0.1]])
    models = fit_classes(np.concatenate([pair, logits[60:]]), np.concatenate([[0, 0], labels[60:]]), OpenMaxConfig())
    assert models.fitted.tolist() == [False, True, True]


# -- the method --------------------------------------------------------------------------------------


def test_near_images_stay_known_and_far_ones_go_to_unknown() -> None:
    method = fitted(*clusters())
    near, far = np.array([[8.0, 0, 0, 0]]), np.array([[40.0, 30, 0, 0]])
    assert score(method, near)[1][0] > 0.95  # softmax of (0, 8, 0, 0, 0) is 0.9987
    assert score(method, far)[1][0] < 1e-3
    assert score(method, far)[2][0] < 1e-3


def test_scores_confidence_and_variant_are_parts_of_one_softmax() -> None:
    method = fitted(*clusters(seed=1))
    logits = clusters(per_class=20, seed=2)[0] * 1.3
    outlying = outlier_probabilities(method.distances(logits), method.model)
    expected = probabilities(logits, outlying, 4)
    scores, confidence, known = score(method, logits)
    np.testing.assert_allclose(scores, expected[:, 1:], rtol=1e-12)
    np.testing.assert_array_equal(confidence, scores.max(axis=1))
    np.testing.assert_allclose(known, 1 - expected[:, 0], rtol=1e-9)


def test_an_images_scores_do_not_depend_on_the_others() -> None:
    method = fitted(*clusters())
    logits = clusters(per_class=10, seed=3)[0]
    whole, order = score(method, logits)[0], np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(score(method, logits[order])[0], whole[order])
    np.testing.assert_array_equal(np.concatenate([score(method, part)[0] for part in np.split(logits, 8)]), whole)


def test_permuted_classes_permute_the_scores_and_leave_unknown_alone() -> None:
    (logits, labels), query = clusters(), clusters(per_class=10, seed=3)[0]
    moved = np.array([2, 0, 3, 1])  # class c becomes moved[c]
    back = np.argsort(moved)
    scores, _, known = score(fitted(logits, labels), query)
    others, _, same = score(fitted(logits[:, back], moved[labels]), query[:, back])
    np.testing.assert_allclose(others[:, moved], scores, rtol=1e-9)
    np.testing.assert_allclose(same, known, rtol=1e-9)


def test_two_fits_are_equal_to_the_last_bit() -> None:
    one, other = (fitted(*clusters()).state() for _ in range(2))
    assert all(np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e200])
def test_huge_logits_neither_overflow_nor_lose_the_order_of_the_classes(scale: float) -> None:
    method = fitted(*clusters())
    logits = scale * np.array([[3.0, 5.0, 4.0, 1.0], [-1.0, -3.0, -2.0, -4.0]])
    scores, confidence, known = score(method, logits)
    assert np.isfinite(scores).all()
    assert ((known >= 0) & (known <= 1)).all()
    _, revised = revise(logits, np.ones((2, 4)), 4)
    assert (scores.argmax(axis=1) == revised.argmax(axis=1)).all()
    assert (confidence > 0).all()


def test_the_setting_chooses_the_network_that_is_required() -> None:
    assert OpenMax.needs(OpenMaxConfig()) == ("base",)
    assert OpenMax.needs(OpenMaxConfig(base="base@ce")) == ("base@ce",)


@pytest.mark.parametrize("key", ["openmax", "openmax@alpha3", "openmax@positive_only", "openmax@ce"])
def test_on_a_trained_network_known_images_keep_their_class(key: str) -> None:
    train, val = textures(3, 24, 32, seed=0), textures(3, 12, 32, seed=1)
    method = fit(key, train, val)
    assert accuracy(method, val) >= 0.9
    assert method.model.fitted.all()
