"""Pools of test images that are clustered together, and how well groups agree with the true classes there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.predictions import KNOWN, PARTS
from benchmark.metrics.clustering import CLUSTER_METRICS
from datasets.seeds import seed_of
from datasets.splits import UNKNOWN_GROUPS

ALL = "all"
# Test images of known classes and of one group of unknown classes, as POSE's code offers them.
POOLS: Mapping[str, tuple[str, ...]] = {
    ALL: (KNOWN, *UNKNOWN_GROUPS),
    **{f"{KNOWN}+{group}": (KNOWN, group) for group in UNKNOWN_GROUPS},
    "unknown": UNKNOWN_GROUPS,
}

Ints = NDArray[np.int64]


def in_pool(part: NDArray[np.int8], pool: str) -> NDArray[np.bool_]:
    """(N,) which images belong to a pool; `part` holds positions in PARTS."""
    return np.isin(part, [PARTS.index(name) for name in POOLS[pool]])


def true_classes(part: NDArray[np.int8], label: Ints) -> Ints:
    """(N,) one id a class, where every unknown class of every group is a class of its own."""
    return part.astype(np.int64) * (int(label.max(initial=0)) + 1) + label


def pool_order(count: int) -> Ints:
    """The fixed shuffled order in which a pool is handed out, so that positions tell nothing about classes."""
    return np.random.default_rng(seed_of("pool")).permutation(count)


def agreement(truth: Ints, groups: Ints) -> dict[str, Any]:
    """Sizes and the three metrics of one grouping, as fractions; None where there are no images."""
    sizes = {"images": len(truth), "classes": len(np.unique(truth)), "groups": len(np.unique(groups))}
    metrics = {
        name: metric.function(truth=truth, groups=groups) if len(truth) else None
        for name, metric in CLUSTER_METRICS.items()
    }
    return sizes | metrics
