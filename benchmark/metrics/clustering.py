"""Clustering of known and unknown images together, and how well the clusters agree with the true models.

Protocol of POSE (Yang et al., arXiv 2303.06877): k-means on the features of all test images of a split,
each unknown model being a class of its own. Group ids from a discovery method are judged by the same
three metrics without any k-means. Purity grows with the number of clusters, so show k beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from benchmark.metrics.metric import Floats, Ints, Metric, by_name, check_labels

Normalisation: TypeAlias = Literal["none", "l2", "standardize"]
NORM_FLOOR = 1e-12  # a row of zeros stays a row of zeros


@dataclass(frozen=True)
class Clustering:
    """One k-means result.

    `ids` (N,) int64 counts 0 .. effective_k - 1 without gaps; `effective_k` is below `k` where the
    features have fewer distinct rows; `inertia` is the sum of squared distances to the centres, in
    units of the normalised features; `iterations` are those of the best start.
    """

    k: int
    effective_k: int
    inertia: float
    iterations: int
    seed: int
    ids: Ints


def contingency(truth: ArrayLike, clusters: ArrayLike) -> Ints:
    """(G, C) number of images in each non-empty cluster (row) and occurring class (column).

    Raises:
        ValueError: lengths differ, an array is empty or does not hold integers, or an id is negative:
            an image in no cluster must be assigned or left out by the caller, who then shows the coverage.
    """
    classes, found = _ids(truth=truth, clusters=clusters)
    row_names, rows = np.unique(found, return_inverse=True)
    column_names, columns = np.unique(classes, return_inverse=True)
    shape = row_names.size, column_names.size
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def _ids(**arrays: ArrayLike) -> tuple[Ints, ...]:
    """Checked class or cluster ids; -1, which means "none" elsewhere, is refused and counted."""
    checked = check_labels(**arrays)
    for name, ids in zip(arrays, checked, strict=True):
        if nowhere := int(np.count_nonzero(ids < 0)):
            raise ValueError(f"{name}: {nowhere} of {ids.size} images have a negative id, that is no class or cluster")
    return checked


def purity(truth: ArrayLike, clusters: ArrayLike) -> float:
    """Share of images that belong to the most frequent class of their cluster.

    The mean purity of the clusters weighted by their sizes, in (0, 1], not their plain mean.
    """
    return float(contingency(truth, clusters).max(axis=1).sum() / np.size(truth))


def nmi(truth: ArrayLike, clusters: ArrayLike) -> float:
    """Mutual information over the arithmetic mean of both entropies, in [0, 1].

    1 if both are one single class and cluster, 0 if only one of them is.
    """
    joint = contingency(truth, clusters) / np.size(truth)
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    entropy = (_entropy(rows) + _entropy(columns)) / 2
    if entropy == 0:
        return 1.0
    met = joint > 0
    shared = float(np.sum(joint[met] * np.log(joint[met] / np.outer(rows, columns)[met])))
    return float(np.clip(shared / entropy, 0.0, 1.0))


def _entropy(shares: Floats) -> float:
    """Of non-zero shares that sum to 1, in nats."""
    return 0.0 if shares.size == 1 else float(-np.sum(shares * np.log(shares)))


def ari(truth: ArrayLike, clusters: ArrayLike) -> float:
    """Rand index adjusted for chance: 0 for random clusters, 1 for the true ones, at least -0.5."""
    counts = contingency(truth, clusters)
    both, same_cluster, same_class = (_pairs(sizes) for sizes in (counts, counts.sum(axis=1), counts.sum(axis=0)))
    every = _pairs(np.array([counts.sum()]))
    only_cluster, only_class = same_cluster - both, same_class - both
    if only_cluster == only_class == 0:
        return 1.0
    neither = every - both - only_cluster - only_class
    chance = (both + only_class) * (only_class + neither) + (both + only_cluster) * (only_cluster + neither)
    return 2 * (both * neither - only_class * only_cluster) / chance


def _pairs(sizes: Ints) -> int:
    """How many pairs of images stand together in sets of these sizes; an exact integer of any size."""
    return sum(size * (size - 1) // 2 for size in sizes.ravel().tolist())


def cluster(
    features: ArrayLike,
    k: int,
    seed: int = 0,
    n_init: int = 10,
    normalisation: Normalisation = "none",
    training_mean: ArrayLike | None = None,
    training_std: ArrayLike | None = None,
) -> Clustering:
    """k-means (Lloyd, k-means++ starts) of the rows; the start with the lowest inertia counts.

    The same call gives the same ids: float64, the given row order and one thread fix the arithmetic.
    float64 also spares scikit-learn's start the block-wise conversion that dominates on float32.

    Args:
        features: (N, D) one row per image.
        k: number of clusters asked for, at least 1; never more than distinct rows are formed: see `effective_k`.
        seed: of the starts.
        n_init: number of starts.
        normalisation: none (as released with POSE), l2 (rows of length 1), or standardize (with the mean
            and standard deviation of the training features; a constant feature is only centred).
        training_mean, training_std: (D,) for standardize, and for nothing else.

    Raises:
        ValueError: features are not (N, D), empty or not finite, or the arguments do not fit together.
    """
    from sklearn.cluster import KMeans  # a second of start-up that no other figure needs

    if k < 1:
        raise ValueError(f"k: expected at least 1 cluster, got {k}")
    rows = _normalised(_finite("features", features, 2), normalisation, training_mean, training_std)
    model = KMeans(
        n_clusters=min(k, _distinct_rows(rows, enough=k)),
        init="k-means++",
        n_init=n_init,
        max_iter=300,
        tol=1e-4,
        algorithm="lloyd",
        random_state=seed,
    )
    with threadpool_limits(limits=1):
        model.fit(rows)
    names, ids = np.unique(model.labels_, return_inverse=True)
    return Clustering(k, names.size, float(model.inertia_), int(model.n_iter_), seed, ids.astype(np.int64))


def _finite(name: str, values: ArrayLike, dimensions: int) -> Floats:
    """C-contiguous float64; NaN and infinite values are refused, never replaced."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != dimensions or array.size == 0:
        raise ValueError(f"{name}: expected {dimensions} non-empty dimensions, got shape {array.shape}")
    if bad := int(np.count_nonzero(~np.isfinite(array))):
        raise ValueError(f"{name}: {bad} of {array.size} values are NaN or infinite")
    return array


def _normalised(rows: Floats, how: Normalisation, mean: ArrayLike | None, std: ArrayLike | None) -> Floats:
    if how not in get_args(Normalisation):
        raise ValueError(f"normalisation: expected one of {', '.join(get_args(Normalisation))}, got {how!r}")
    if how == "standardize" and mean is not None and std is not None:
        return _standardised(rows, _finite("training_mean", mean, 1), _finite("training_std", std, 1))
    if how == "standardize" or mean is not None or std is not None:
        raise ValueError(f"training_mean, training_std: both go with 'standardize' and only there, not with {how!r}")
    if how == "l2":
        lengths: Floats = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.maximum(lengths, NORM_FLOOR)
    return rows


def _standardised(rows: Floats, mean: Floats, std: Floats) -> Floats:
    if {mean.size, std.size} != {rows.shape[1]} or std.min() < 0:
        raise ValueError(f"training_mean, training_std: expected {rows.shape[1]} values each, and no negative std")
    scaled: Floats = (rows - mean) / np.where(std == 0, 1.0, std)
    return scaled


def _distinct_rows(rows: Floats, enough: int) -> int:
    """Number of distinct rows, or any number >= `enough` that is certain: mostly one column decides."""
    pattern, count = np.zeros(len(rows), dtype=np.int64), 1
    for column in rows.T:
        values, value = np.unique(column, return_inverse=True)
        if values.size > 1:
            pairs, pattern = np.unique(pattern * values.size + value, return_inverse=True)
            count = pairs.size
        if count >= enough:
            break
    return count


CLUSTER_METRICS = by_name(
    Metric(purity, "Purity", "higher", 0, 1, "Manning et al., Information Retrieval, 2008"),
    Metric(nmi, "NMI", "higher", 0, 1, "Vinh et al., JMLR 2010 (arithmetic mean of the entropies)"),
    Metric(ari, "ARI", "higher", -0.5, 1, "Hubert, Arabie, Journal of Classification 1985"),
)


@dataclass(frozen=True)
class ClusterFigures:
    """How well clusters agree with true classes: sizes, and figures by metric, none where there are no images."""

    images: int
    classes: int
    clusters: int
    figures: Mapping[str, float]


def cluster_figures(truth: Ints, clusters: Ints) -> ClusterFigures:
    """Sizes and every metric of the clusters (N,) of images of true classes (N,); N may be 0."""
    figures = (
        {name: metric(truth=truth, clusters=clusters) for name, metric in CLUSTER_METRICS.items()} if len(truth) else {}
    )
    return ClusterFigures(len(truth), len(np.unique(truth)), len(np.unique(clusters)), figures)
