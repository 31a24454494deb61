"""Purity, NMI and ARI against hand-checked values; k-means against data with one right answer."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from threadpoolctl import threadpool_info, threadpool_limits

from benchmark.metrics.clustering import CLUSTER_METRICS, ari, cluster, contingency, nmi, purity

few = settings(derandomize=True, max_examples=60, deadline=None, database=None)
partitions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40).map(
    lambda pairs: (np.array([true for true, _ in pairs]), np.array([cluster for _, cluster in pairs]))
)

BY_HAND = [
    ("000111", "001111", 0.8333, 0.4787, 0.3243),
    ("001122", "559911", 1, 1, 1),
    ("000112", "777777", 0.5, 0, 0),
    ("0011", "0123", 1, 0.6667, 0),
    ("00001122", "00112222", 0.75, 0.6667, 0.3),
    ("00001111", "01010101", 0.5, 0, -0.1667),
    ("0001112222", "0011111101", 0.5, 0.229415, 0.051724),
    ("0001112222", "0011112202", 0.8, 0.618066, 0.431818),
    ("0000", "5555", 1, 1, 1),
    ("0123", "3210", 1, 1, 1),
]


def blobs(per_blob=12, dimensions=5):
    """Three tight, far blobs: features (36, 5) and their classes."""
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], per_blob)
    return 10 * np.eye(3, dimensions)[classes] + 0.01 * rng.normal(size=(classes.size, dimensions)), classes


@pytest.mark.parametrize(("truth", "clusters", "pure", "information", "rand"), BY_HAND)
def test_the_metrics_give_the_values_checked_by_hand(truth, clusters, pure, information, rand):
    truth, clusters = (np.array([int(digit) for digit in digits]) for digits in (truth, clusters))
    assert purity(truth, clusters) == pytest.approx(pure, abs=5e-5)
    assert nmi(truth, clusters) == pytest.approx(information, abs=5e-5)
    assert ari(truth, clusters) == pytest.approx(rand, abs=5e-5)


def test_contingency_counts_images_by_group_and_class_without_empty_rows():
    assert contingency([0, 0, 4, 4, 4], [9, 2, 2, 2, 9]).tolist() == [[1, 2], [1, 1]]


@few
@given(partitions)
def test_contingency_agrees_with_scikit_learn(pair):
    truth, clusters = pair
    assert (contingency(truth, clusters) == contingency_matrix(truth, clusters).T).all()


@few
@given(partitions)
def test_nmi_and_ari_agree_with_scikit_learn(pair):
    truth, clusters = pair
    assert nmi(truth, clusters) == pytest.approx(normalized_mutual_info_score(truth, clusters), abs=1e-12)
    assert ari(truth, clusters) == pytest.approx(adjusted_rand_score(truth, clusters), abs=1e-12)


@few
@given(partitions, st.permutations(range(5)), st.randoms(use_true_random=False))
def test_names_of_classes_and_groups_and_the_order_of_images_change_nothing(pair, names, random):
    truth, clusters = pair
    renamed = 7 * np.array(names)
    order = random.sample(range(truth.size), truth.size)
    for metric in CLUSTER_METRICS.values():
        expected = pytest.approx(metric.function(truth, clusters), abs=1e-12)
        assert metric.function(renamed[truth], clusters) == expected
        assert metric.function(truth, renamed[clusters]) == expected
        assert metric.function(truth[order], clusters[order]) == expected


@few
@given(partitions)
def test_every_metric_stays_in_its_range_and_purity_between_its_bounds(pair):
    truth, clusters = pair
    for metric in CLUSTER_METRICS.values():
        assert metric.low - 1e-12 <= metric.function(truth, clusters) <= metric.high + 1e-12
    sizes = [count for _, count in Counter(truth.tolist()).most_common()]
    assert sizes[0] / truth.size <= purity(truth, clusters) <= sum(sizes[: len(set(clusters.tolist()))]) / truth.size


@few
@given(partitions, st.integers(0, 4))
def test_splitting_a_group_never_lowers_purity(pair, cluster):
    truth, clusters = pair
    split = np.where((clusters == cluster) & (np.arange(clusters.size) % 2 == 0), 99, clusters)
    assert purity(truth, split) >= purity(truth, clusters)
    assert purity(truth, np.arange(truth.size)) == 1


def test_one_group_for_the_whole_pool_of_a_published_split_is_three_percent_pure():
    truth = np.repeat(np.arange(68), [994] + [500] * 66 + [506])
    assert purity(truth, np.zeros(truth.size, dtype=int)) == 994 / 34_500


@pytest.mark.parametrize("metric", CLUSTER_METRICS.values(), ids=CLUSTER_METRICS.keys())
@pytest.mark.parametrize(
    ("truth", "clusters", "message"),
    [
        ([0, 1, 1], [0, -1, -1], "clusters: 2 of 3 images have a negative id"),
        ([0, -1, 1], [0, 1, 1], "truth: 1 of 3 images have a negative id"),
        ([0, 1], [0], "different lengths: truth 2, clusters 1"),
        ([0, 1], [0.5, 1.0], "clusters: expected integers"),
        (np.array([], dtype=int), [0], "truth: expected one number per image"),
    ],
)
def test_ids_that_name_no_group_are_refused(metric, truth, clusters, message):
    with pytest.raises(ValueError, match=message):
        metric.function(truth, clusters)


@pytest.mark.parametrize("normalisation", ["none", "l2"])
def test_three_far_blobs_are_found_exactly(normalisation):
    features, truth = blobs()
    found = cluster(features.astype(np.float32), 3, n_init=2, normalisation=normalisation)
    assert purity(truth, found.ids) == nmi(truth, found.ids) == ari(truth, found.ids) == 1
    assert (found.k, found.effective_k, found.seed) == (3, 3, 0)
    assert found.ids.dtype == np.int64
    assert found.iterations >= 1


def test_inertia_is_the_squared_distance_to_the_means_of_the_groups():
    features, truth = blobs()
    around = [features[truth == c] - features[truth == c].mean(axis=0) for c in range(3)]
    assert cluster(features, 3, n_init=2).inertia == pytest.approx(sum(np.sum(part**2) for part in around))


def test_one_seed_gives_the_same_ids_twice_and_on_any_memory_layout():
    features = np.random.default_rng(0).normal(size=(200, 8))
    first, again = cluster(features, 7, seed=3, n_init=2), cluster(np.asfortranarray(features), 7, seed=3, n_init=2)
    assert (first.ids == again.ids).all()
    assert first.inertia == again.inertia
    assert (first.ids != cluster(features, 7, seed=4, n_init=2).ids).any()


def test_the_settings_of_the_protocol_reach_scikit_learn():
    features = np.random.default_rng(0).normal(size=(150, 6))
    reference = KMeans(5, init="k-means++", n_init=10, max_iter=300, tol=1e-4, algorithm="lloyd", random_state=0)
    assert cluster(features, 5).inertia == pytest.approx(reference.fit(features).inertia_)


def test_k_means_runs_on_one_thread_whatever_the_caller_allows(monkeypatch):
    seen, fit = [], KMeans.fit

    def watched(self, rows):
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        return fit(self, rows)

    monkeypatch.setattr(KMeans, "fit", watched)
    with threadpool_limits(limits=2):
        cluster(np.eye(4), 2, n_init=2)
    assert set(seen) == {1}


def test_scale_and_position_of_the_features_do_not_matter():
    features, truth = blobs()
    for changed in (1000 * features, features + np.arange(5)):
        found = cluster(changed, 3, n_init=2)
        assert all(metric.function(truth, found.ids) == 1 for metric in CLUSTER_METRICS.values())


def test_standardize_uses_the_statistics_of_training_and_leaves_a_dead_feature_alone():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 20)
    loud, telling, dead = 1000 * rng.normal(size=40), truth + 0.01 * rng.normal(size=40), np.full(40, 5.0)
    features = np.column_stack([loud, telling, dead])
    found = cluster(
        features, 2, n_init=2, normalisation="standardize", training_mean=[0, 0.5, 5], training_std=[1e5, 0.5, 0]
    )
    assert ari(truth, found.ids) == 1
    assert ari(truth, cluster(features, 2, n_init=2).ids) < 0.5


def test_l2_ignores_the_length_of_rows_and_keeps_a_row_of_zeros():
    directions = np.repeat(np.eye(2), 10, axis=0) * np.linspace(1, 100, 20)[:, None]
    assert ari(np.repeat([0, 1], 10), cluster(directions, 2, n_init=2, normalisation="l2").ids) == 1
    with_zeros = np.vstack([directions, np.zeros(2)])
    assert ari(np.repeat([0, 1, 2], [10, 10, 1]), cluster(with_zeros, 3, n_init=2, normalisation="l2").ids) == 1


@pytest.mark.parametrize(
    ("features", "k", "effective"),
    [
        (np.ones((9, 4)), 3, 1),
        (np.repeat(np.eye(2), 6, axis=0), 5, 2),
        (np.column_stack([np.zeros(4), [0, 0, 1, 1], [0, 1, 0, 1]]), 8, 4),
    ],
)
def test_more_groups_than_distinct_rows_are_cut_without_a_warning_of_the_library(features, k, effective):
    found = cluster(features, k, n_init=2)  # a warning would be an error here
    assert (found.k, found.effective_k) == (k, effective)
    assert set(found.ids.tolist()) == set(range(effective))
    assert found.inertia == pytest.approx(0, abs=1e-12)


def test_as_many_groups_as_distinct_rows_need_no_warning():
    assert cluster(np.repeat(np.eye(3), 4, axis=0), 3, n_init=2).effective_k == 3


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        ([[0.0, math.nan], [math.inf, 1.0]], {}, "features: 2 of 4 values are NaN or infinite"),
        ([0.0, 1.0], {}, r"features: expected 2 non-empty dimensions, got shape \(2,\)"),
        (np.zeros((0, 3)), {}, "features: expected 2 non-empty dimensions"),
        (np.eye(3), {"k": 0}, "k: expected at least 1 cluster, got 0"),
        (np.eye(3), {"normalisation": "zca"}, "expected one of none, l2, standardize, got 'zca'"),
        (np.eye(3), {"normalisation": "standardize", "training_mean": [0, 0, 0]}, "both go with 'standardize'"),
        (np.eye(3), {"training_std": [1, 1, 1]}, "only there, not with 'none'"),
        (
            np.eye(3),
            {"normalisation": "standardize", "training_mean": [0, 0], "training_std": [1, 1]},
            "expected 3 values each",
        ),
    ],
)
def test_features_and_settings_that_do_not_fit_are_refused(features, options, message):
    with pytest.raises(ValueError, match=message):
        cluster(features, **{"k": 2, **options})
