"""Hashing, clustering, merging and refining of features: hand-computed values and slow restatements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.core.discovery import hashing
from methods.core.discovery.clusters import compact, components, drop_small, group_means, merge, seeds, start_clusters
from methods.core.discovery.hashing import Scaler, ThresholdRule, WinnerTakeAll, attribute
from methods.core.discovery.refinement import RefineRule, recognise, refine, survivors, to_nearest_group

PAIRS = WinnerTakeAll(np.array([[0, 1], [2, 3], [1, 2]]))
X, Y = np.array([[3.0, 1, 2, 5]]), np.array([[0.0, 1, 2, 5]])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pair_distances(codes: Any, others: Any) -> Any:
    """(n, m) number of hashes that differ, one by one."""
    return (codes[:, None] != others[None]).sum(axis=2)


# -- hashes ------------------------------------------------------------------------------------------


def test_codes_and_distance_of_two_vectors_by_hand() -> None:
    assert PAIRS.codes(X).tolist() == [[0, 1, 1]]
    assert PAIRS.codes(Y).tolist() == [[1, 1, 1]]
    assert PAIRS.mean_distances(PAIRS.codes(X), PAIRS.codes(Y)).tolist() == [1.0]


def test_equal_values_give_the_first_position() -> None:
    assert PAIRS.codes(np.zeros((1, 4))).tolist() == [[0, 0, 0]]


@given(st.lists(st.integers(-50, 50), min_size=4, max_size=4), st.integers(-20, 20), st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_a_shift_or_a_positive_factor_changes_no_code(values: list[int], shift: int, factor: int) -> None:
    x = np.array([values], dtype=float)
    assert (PAIRS.codes(factor * x + shift) == PAIRS.codes(x)).all()


def test_drawn_windows_are_distinct_dimensions_and_depend_on_the_generator_alone() -> None:
    drawn = WinnerTakeAll.drawn(500, 3, 6, rng(1))
    assert drawn.positions.shape == (500, 3)
    assert all(len(set(row)) == 3 for row in drawn.positions.tolist())
    assert (drawn.positions == WinnerTakeAll.drawn(500, 3, 6, rng(1)).positions).all()
    counts = np.bincount(drawn.positions.ravel(), minlength=6)
    assert counts.min() > 200  # 250 expected


@pytest.mark.parametrize("window", [2, 3])
def test_distances_equal_those_counted_one_by_one_in_any_block_size(
    window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wta = WinnerTakeAll.drawn(64, window, 8, rng())
    members, others = wta.codes(rng(1).standard_normal((30, 8))), wta.codes(rng(2).standard_normal((20, 8)))
    for values in (1, 700, 2**20):
        monkeypatch.setattr(hashing, "_BLOCK_VALUES", values)
        slow = pair_distances(others, members)
        np.testing.assert_allclose(wta.mean_distances(others, members), slow.mean(axis=1), atol=1e-9)
        square = pair_distances(members, members)
        assert (wta.counts(members) == np.bincount(square.ravel(), minlength=65)).all()
        assert (wta.codes(rng(1).standard_normal((30, 8))) == members).all()
    assert (square == square.T).all()
    assert (np.diag(square) == 0).all()


# -- thresholds --------------------------------------------------------------------------------------


def test_the_quantile_is_the_kth_largest_with_the_floor_of_the_floating_point_product() -> None:
    assert ThresholdRule("quantiles", 0.9)(np.ones(100, dtype=np.int64)) == 91  # 100 x (1 - 0.9) < 10: the 9th
    assert ThresholdRule("quantiles", 0.9)(np.ones(10, dtype=np.int64)) == 9  # 10 x (1 - 0.9) < 1: the largest


@pytest.mark.parametrize("value", [0.0, 0.5, 0.9, 0.99])
def test_both_rules_equal_their_definition_on_the_full_matrix(value: float) -> None:
    wta = WinnerTakeAll.drawn(40, 2, 6, rng())
    codes = wta.codes(rng(3).standard_normal((25, 6)))
    entries = pair_distances(codes, codes).ravel()
    rank = max(1, math.floor(entries.size * (1 - value)))
    assert ThresholdRule("quantiles", value)(wta.counts(codes)) == sorted(entries, reverse=True)[rank - 1]
    spread = entries.mean() + value * entries.std(ddof=1)
    assert ThresholdRule("mean_std", value)(wta.counts(codes)) == pytest.approx(spread)


def test_a_set_of_one_accepts_nobody_and_an_empty_set_neither() -> None:
    codes = PAIRS.codes(np.concatenate([X, Y]))
    inside = PAIRS.accepted(codes, [codes[:1], codes[:0]], ThresholdRule())
    assert not inside.any()


def test_images_on_the_threshold_are_outside() -> None:
    codes = PAIRS.codes(np.concatenate([X, Y]))  # distances 0, 1, 1, 0: the threshold is 1, both means are 0.5
    assert PAIRS.accepted(codes, [codes], ThresholdRule()).tolist() == [[True], [True]]
    far = np.array([[0, 0, 0]], dtype=np.uint8)  # 2 and 3 hashes from them
    assert not PAIRS.accepted(far, [codes], ThresholdRule()).any()
    both = ThresholdRule("quantiles", 0.0)  # the smallest distance, 0: nobody is closer
    assert not PAIRS.accepted(codes, [codes], both).any()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("mean_std", [[-1, 0], [1, 0]]), ("min_max", [[0, 0], [1, 0]]), ("none", [[1, 5], [3, 5]])],
)
def test_scaling_by_hand_with_a_constant_feature(kind: Any, expected: list[list[float]]) -> None:
    rows = np.array([[1, 5], [3, 5]], dtype=np.float32)
    assert Scaler.fitted(rows, kind)(rows).tolist() == expected


def test_attribution_follows_the_network_once_an_image_lies_within_any_set_of_that_kind() -> None:
    groups = np.array([-1, -1, -1, -1, -1, 7])
    predicted = np.array([2, 3, 3, 2, 0, 1])  # classes 0..2 are known, 3 is a discovered group
    in_known = np.zeros((6, 3), dtype=bool)
    in_known[[0, 1, 5], 0] = True  # rows 0, 1 and 5 lie within class 0 alone
    in_discovered = np.array([[False], [False], [True], [True], [False], [False]])
    assert attribute(groups, predicted, in_known, in_discovered, 3).tolist() == [2, -1, 3, -1, -1, 7]
    assert attribute(groups[:1], predicted[:1], in_known[:1], np.zeros((1, 0), dtype=bool), 3).tolist() == [2]


# -- first clusters ----------------------------------------------------------------------------------


def test_tight_clusters_far_apart_are_found() -> None:
    truth = np.repeat(np.arange(3), 20)
    rows = 100.0 * np.eye(3)[truth] + rng().standard_normal((60, 3))
    found = start_clusters(rows, 3, 300, rng(5))
    assert len({(a, b) for a, b in zip(truth.tolist(), found.tolist(), strict=True)}) == 3
    assert (found == start_clusters(rows, 3, 300, rng(5))).all()


def test_clusters_have_no_gaps_and_cover_all_rows_when_rows_repeat() -> None:
    rows = np.repeat(np.arange(4.0)[:, None], 5, axis=0)
    found = start_clusters(rows, 10, 300, rng())
    assert sorted(set(found.tolist())) == [0, 1, 2, 3]
    assert (start_clusters(np.ones((7, 2)), 3, 300, rng()) == 0).all()


def test_one_row_for_every_centre_gives_every_row_a_cluster() -> None:
    assert sorted(start_clusters(rng().standard_normal((9, 2)), 9, 300, rng()).tolist()) == list(range(9))


def test_next_seeds_are_drawn_in_proportion_to_the_distance_and_not_to_its_square() -> None:
    rows = np.array([[0.0], [1.0], [3.0]])
    draws = [seeds(rows, 2, rng(seed)).ravel().tolist() for seed in range(4000)]
    after_zero = [second for first, second in draws if first == 0]
    assert np.mean(np.array(after_zero) == 3) == pytest.approx(3 / 4, abs=0.04)  # squares: 9 / 10
    assert np.mean([first == 1 for first, _ in draws]) == pytest.approx(1 / 3, abs=0.04)
    assert all(first != second for first, second in draws)


def test_small_clusters_are_given_up_and_known_classes_are_not() -> None:
    groups = np.array([0, 3, 3, 4, -1])
    assert drop_small(groups, 3, 2).tolist() == [0, 3, 3, -1, -1]
    assert drop_small(groups, 3, 0).tolist() == groups.tolist()


def test_numbers_close_up_in_their_order_and_known_ones_stay() -> None:
    assert compact(np.array([0, 2, 9, -1, 5, 9]), 3).tolist() == [0, 2, 4, -1, 3, 4]
    assert compact(np.array([-1, 1]), 3).tolist() == [-1, 1]


# -- merging -----------------------------------------------------------------------------------------

LINE = np.array([[0.0], [1.0], [10.0], [11.0], [25.0]])


def parts(labels: Any) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def test_components_of_points_on_a_line_by_hand() -> None:
    assert parts(components(LINE, "strong")) == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4})}
    assert parts(components(LINE, "weak")) == {frozenset({0, 1}), frozenset({2, 3, 4})}
    second = np.array([[0.5], [10.5], [25.0]])
    assert parts(components(second, "strong")) == {frozenset({0, 1}), frozenset({2})}
    assert parts(components(LINE, "weak", max_distance=1.0)) == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4})}


def test_a_pass_merges_groups_by_their_means_and_keeps_the_lowest_number() -> None:
    groups = np.array([1, 4, 4, 5, 6, 7, 8, -1, 0])
    rows = np.array([[0.0], [-1.0], [1.0], [1.0], [10.0], [11.0], [25.0], [5.0], [0.4]])
    assert merge(groups, rows, 4).tolist() == [1, 4, 4, 4, 6, 6, 8, -1, 0]
    assert merge(groups, rows, 4, "weak").tolist() == [1, 4, 4, 4, 6, 6, 6, -1, 0]
    assert merge(groups, rows, 7).tolist() == groups.tolist()  # two groups: no pass
    assert merge(groups, rows, 6).tolist() == [1, 4, 4, 5, 6, 6, 8, -1, 0]


@given(st.integers(0, 10**6), st.integers(3, 30), st.sampled_from(["strong", "weak"]))
@settings(max_examples=40, deadline=None)
def test_every_pass_over_more_than_two_groups_merges_some_and_strong_ones_at_most_halve_them(
    seed: int, count: int, connection: Any
) -> None:
    rows = rng(seed).standard_normal((count, 4))
    groups = np.arange(count) + 2
    left = len(np.unique(merge(groups, rows, 2, connection)))
    assert left < count
    if connection == "strong":
        assert left >= math.ceil(count / 2)


@pytest.mark.parametrize(
    ("dimensions", "strong", "weak"), [(1, 0.67, 0.33), (2, 0.70, 0.30), (16, 0.84, 0.16), (128, 0.91, 0.10)]
)
def test_one_pass_over_random_centres_leaves_the_share_that_nearest_neighbour_graphs_have(
    dimensions: int, strong: float, weak: float
) -> None:
    centres = rng(dimensions).standard_normal((500, dimensions))
    assert components(centres, "strong").max() / 500 == pytest.approx(strong, abs=0.035)
    assert components(centres, "weak").max() / 500 == pytest.approx(weak, abs=0.035)


def test_means_of_groups_are_those_of_their_rows() -> None:
    names, means = group_means(np.array([[1.0, 0], [3, 2], [5, 5]], dtype=np.float32), np.array([4, 4, 0]))
    assert names.tolist() == [0, 4]
    assert means.tolist() == [[5, 5], [2, 1]]


# -- refinement --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("positive", "members", "kept"), [(200, 400, 0), (201, 400, 201), (100, 100, 0), (101, 101, 101)]
)
def test_a_group_stays_with_more_than_a_hundred_and_more_than_half(positive: int, members: int, kept: int) -> None:
    recognised = np.arange(members) < positive
    stays = survivors(recognised, RefineRule(least_positive=100, least_share=0.5))
    assert stays.sum() == kept
    assert not (stays & ~recognised).any()


def blobs(sizes: tuple[int, ...], seed: int = 0) -> tuple[Any, Any]:
    """Float32 features around far corners, and their blob."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rows = 6 * np.eye(len(sizes))[labels] + 0.3 * rng(seed).standard_normal((len(labels), len(sizes)))
    return rows.astype(np.float32), labels


def test_intruders_leave_their_group_and_known_classes_never_change() -> None:
    features, truth = blobs((30, 30, 30))
    groups = truth + 1  # class 0 of two known ones is empty, class 1 holds blob 0
    groups[[31, 32]] = 3  # two images of blob 1 stand in the group of blob 2 ...
    groups[[70, 71]] = 1  # ... and two of blob 2 in a known class
    refined = refine(groups, features, 2, RefineRule(least_positive=5), rng())
    assert refined[[31, 32]].tolist() == [-1, -1]
    assert (refined[groups == 1] == 1).all()
    rest = np.setdiff1d(np.arange(90), [31, 32])
    assert (refined[rest] == groups[rest]).all()


def test_survivors_are_renumbered_and_lost_groups_lose_all() -> None:
    features, truth = blobs((20, 4, 20))
    refined = refine(truth + 2, features, 2, RefineRule(least_positive=4), rng())
    assert (refined[truth == 0] == 2).all()
    assert (refined[truth == 1] == -1).all()
    assert (refined[truth == 2] == 3).all()


def test_members_are_judged_as_by_a_machine_that_also_judges_all_others() -> None:
    from sklearn.svm import SVC

    features = rng().standard_normal((120, 4)).astype(np.float32)
    labels = (features[:, 0] + 0.5 * rng(1).standard_normal(120) > 0).astype(int)
    whole = SVC(C=1.0, gamma=1 / 4).fit(features, labels).predict(features)
    members = recognise(features[labels == 1], features[labels == 0], RefineRule())
    assert (members == (whole[labels == 1] == 1)).all()


def test_a_group_with_nobody_beside_it_is_recognised_whole() -> None:
    assert recognise(np.ones((3, 2), np.float32), np.empty((0, 2), np.float32), RefineRule()).all()


def test_fewer_negatives_are_drawn_from_the_generator_alone() -> None:
    features, truth = blobs((20, 20, 20))
    rule = RefineRule(least_positive=4, negatives=10)
    first, second = (refine(truth + 1, features, 1, rule, rng(3)) for _ in range(2))
    assert (first == second).all()
    assert (first == truth + 1).all()


def test_what_is_left_over_goes_to_the_group_of_the_largest_cosine() -> None:
    features = np.array([[1, 0], [0, 9], [8, 1], [0, 0.1], [0, 0], [1, 1]], dtype=np.float32)
    groups = np.array([0, 5, -1, -1, -1, -1])
    assert to_nearest_group(groups, features, 3).tolist() == [0, 5, 0, 5, 0, 0]  # ties: the lowest
    assert to_nearest_group(np.full(6, -1), features, 3).tolist() == [3] * 6
    assert to_nearest_group(np.array([0, 1, 2, 3, 4, 0]), features, 3).tolist() == [0, 1, 2, 3, 4, 0]
