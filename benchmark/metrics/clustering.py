"""Clustering of known and unknown images together, and how well the groups agree with the true models.

Protocol of POSE (Yang et al., arXiv 2303.06877): k-means on the features of all test images of a split,
each unknown model being a class of its own. Group ids from a discovery method are judged by the same
three metrics without any k-means. Purity grows with the number of groups, so show k beside it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from threadpoolctl import threadpool_limits

from benchmark.metrics.open_set import Floats, Ints, Metric, by_name, check_labels

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


def contingency(truth: ArrayLike, groups: ArrayLike) -> Ints:
    """(G, C) number of images in each non-empty group (row) and occurring class (column).

    Raises:
        ValueError: lengths differ, an array is empty or does not hold integers, or an id is negative:
            an image in no group must be assigned or left out by the caller, who then shows the coverage.
    """
    classes, found = _ids(truth=truth, groups=groups)
    row_names, rows = np.unique(found, return_inverse=True)
    column_names, columns = np.unique(classes, return_inverse=True)
    shape = row_names.size, column_names.size
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def _ids(**arrays: ArrayLike) -> tuple[Ints, ...]:
    """Checked class or group ids; -1, which means "none" elsewhere, is refused and counted."""
    checked = check_labels(**arrays)
    for name, ids in zip(arrays, checked, strict=True):
        if nowhere := int(np.count_nonzero(ids < 0)):
            raise ValueError(f"{name}: {nowhere} of {ids.size} images have a negative id, that is no class or group")
    return checked


def purity(truth: ArrayLike, groups: ArrayLike) -> float:
    """Share of images that belong to the most frequent class of their group.

    The mean purity of the groups weighted by their sizes, in (0, 1], not their plain mean.
    """
    return float(contingency(truth, groups).max(axis=1).sum() / np.size(truth))


def nmi(truth: ArrayLike, groups: ArrayLike) -> float:
    """Mutual information over the arithmetic mean of both entropies, in [0, 1].

    1 if both are one single class and group, 0 if only one of them is.
    """
    classes, found = _ids(truth=truth, groups=groups)
    return float(normalized_mutual_info_score(classes, found, average_method="arithmetic"))


def ari(truth: ArrayLike, groups: ArrayLike) -> float:
    """Rand index adjusted for chance: 0 for random groups, 1 for the true ones, at least -0.5."""
    classes, found = _ids(truth=truth, groups=groups)
    return float(adjusted_rand_score(classes, found))


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
        k: number of groups asked for, at least 1; more than there are distinct rows are cut, with a warning.
        seed: of the starts.
        n_init: number of starts.
        normalisation: none (as released with POSE), l2 (rows of length 1), or standardize (with the mean
            and standard deviation of the training features; a constant feature is only centred).
        training_mean, training_std: (D,) for standardize, and for nothing else.

    Raises:
        ValueError: features are not (N, D), empty or not finite, or the arguments do not fit together.
    """
    if k < 1:
        raise ValueError(f"k: expected at least 1 group, got {k}")
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
    if names.size < k:
        warnings.warn(f"k-means formed {names.size} groups, not {k}: too few distinct feature rows", stacklevel=2)
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
    group, count = np.zeros(len(rows), dtype=np.int64), 1
    for column in rows.T:
        values, value = np.unique(column, return_inverse=True)
        if values.size > 1:
            pairs, group = np.unique(group * values.size + value, return_inverse=True)
            count = pairs.size
        if count >= enough:
            break
    return count


CLUSTER_METRICS = by_name(
    Metric(purity, "Avg. purity", "higher", 0, 1, "Manning et al., Information Retrieval, 2008"),
    Metric(nmi, "NMI (arithmetic)", "higher", 0, 1, "Vinh et al., JMLR 2010"),
    Metric(ari, "ARI", "higher", -0.5, 1, "Hubert, Arabie, Journal of Classification 1985"),
)
