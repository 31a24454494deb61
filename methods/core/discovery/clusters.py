"""Many small clusters first, then merging along nearest neighbours (Girish et al., ICCV 2021).

Group ids: -1 none, below K a known class, from K on discovered groups without gaps.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from methods.core.discovery.hashing import Floats, Ints

Connection = Literal["strong", "weak"]


def start_clusters(rows: Floats, count: int, steps: int, rng: np.random.Generator) -> Ints:
    """(n,) cluster of every row after up to `steps` Lloyd steps from one seeding.

    Lloyd stops when no row changes its cluster, after which further steps change nothing. A centre that
    loses all its rows is put on the farthest one. Fewer than `count` clusters come out where rows repeat.
    One thread: sums in another order would give other clusters.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    centres = seeds(rows, count, rng)
    model = KMeans(len(centres), init=centres, n_init=1, max_iter=steps, tol=0.0, algorithm="lloyd")
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # an empty cluster in the end is no fault here
        labels = model.fit(rows).labels_
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def seeds(rows: Floats, count: int, rng: np.random.Generator) -> Floats:
    """(count or fewer, D) distinct rows: each next one drawn with a chance in proportion to its distance.

    To the distance from the nearest centre so far, not to its square as in k-means++.
    """
    chosen = [int(rng.integers(len(rows)))]
    nearest = np.linalg.norm(rows - rows[chosen[0]], axis=1)
    while len(chosen) < count and nearest.any():
        chosen.append(int(rng.choice(len(rows), p=nearest / nearest.sum())))
        nearest = np.minimum(nearest, np.linalg.norm(rows - rows[chosen[-1]], axis=1))
    return rows[chosen]


def drop_small(groups: Ints, first: int, least: int) -> Ints:
    """Give up groups from `first` on that have fewer than `least` images."""
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    small = (names >= first) & (sizes < least)
    return np.where(small[inverse], -1, groups)


def compact(groups: Ints, first: int) -> Ints:
    """Renumber the groups from `first` on without gaps, in the order of their ids; others stay."""
    found = groups >= first
    renumbered = groups.copy()
    renumbered[found] = first + np.unique(groups[found], return_inverse=True)[1]
    return renumbered


def group_means(rows: NDArray[np.floating], groups: Ints) -> tuple[Ints, Floats]:
    """Ids of the non-empty groups in ascending order and the mean row (G, D) of each."""
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, inverse, rows)
    return names, sums / sizes[:, None]


def merge(
    groups: Ints,
    rows: NDArray[np.floating],
    first: int,
    connection: Connection = "strong",
    max_distance: float | None = None,
) -> Ints:
    """One merging pass over the groups with ids from `first` on; a merged group keeps its lowest id.

    A pass needs more than two groups, and then always merges at least two: without `max_distance`,
    which the published method lacks, there is no rule that stops it.
    """
    names, centres = group_means(rows[groups >= first], groups[groups >= first])
    if len(names) <= 2:
        return groups
    component = components(centres, connection, max_distance)
    lowest = np.array([names[component == c].min() for c in component])
    merged = groups.copy()
    merged[groups >= first] = lowest[np.searchsorted(names, groups[groups >= first])]
    return merged


def components(centres: Floats, connection: Connection = "strong", max_distance: float | None = None) -> Ints:
    """(C,) components of the graph with an edge from each centre to its nearest other centre.

    strong: only mutual nearest neighbours come together; weak: whole chains. Of equally near centres
    the one with the lower position counts.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial.distance import cdist

    distances = cdist(centres, centres)
    np.fill_diagonal(distances, np.inf)
    nearest, position = distances.argmin(axis=1), np.arange(len(centres))
    kept = position if max_distance is None else position[distances[position, nearest] <= max_distance]
    edges = csr_matrix((np.ones(len(kept)), (kept, nearest[kept])), shape=distances.shape)
    return connected_components(edges, directed=True, connection=connection)[1].astype(np.int64)
