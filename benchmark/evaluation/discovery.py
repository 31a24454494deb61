"""Cells of discovery methods: a pool without labels goes in, groups come out and are kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.store import read_arrays, write_arrays, write_json
from benchmark.evaluation.pools import ALL, POOLS, agreement, in_pool, pool_order, true_classes
from benchmark.evaluation.predictions import KNOWN, PARTS, VAL, parts_of
from benchmark.metrics import open_set as metrics
from datasets.splits import UNKNOWN_GROUPS
from datasets.types import ImageSet, Split
from methods.core.device import peak_memory, synchronise
from methods.core.images.joined import JoinedImages
from methods.core.method import Discovery, DiscoveryMethod

SCHEMA = 1
GROUPS_FILE, ITERATIONS = "groups.npz", "iterations.json"

Values = dict[str, Any]


@dataclass(frozen=True)
class Grouping:
    """What a discovery method said about every test image, in the order of PARTS.

    Attributes:
        part: (N,) position in PARTS.
        ids: (N,) names of the images.
        label: (N,) class within its part.
        group: (N,) below K a known class, from K on a discovered group.
        discovered: (N,) whether the image was placed before left-overs went to the nearest group.
    """

    part: NDArray[np.int8]
    ids: NDArray[np.str_]
    label: NDArray[np.int64]
    group: NDArray[np.int64]
    discovered: NDArray[np.bool_]

    def save(self, folder: Path) -> None:
        write_arrays(folder / GROUPS_FILE, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, folder: Path) -> Grouping:
        return cls(**read_arrays(folder / GROUPS_FILE))


@dataclass(frozen=True)
class DiscoveryWork:
    """What a cell of a discovery method keeps."""

    grouping: Grouping
    log: list[dict[str, Any]]
    cost: Mapping[str, Any]
    summary: str

    def save(self, folder: Path) -> None:
        self.grouping.save(folder)
        write_json(folder / ITERATIONS, self.log)


def discover_groups(method: DiscoveryMethod, split: Split) -> DiscoveryWork:
    """Hand a method the training set, the validation set and the pool of all test images.

    The pool comes shuffled, without labels, classes, sources or telling names.

    Raises:
        ValueError: the answer has another shape than the contract says.
    """
    parts = [(name, images) for name, images in parts_of(split) if name != VAL and len(images)]
    pool = JoinedImages([images for _, images in parts], np.concatenate([s.labels for _, s in parts]), _names(parts))
    order, started = pool_order(len(pool)), time.perf_counter()
    found = checked(method.discover(split.train, split.val, pool.unlabelled(order)), len(pool))
    synchronise(method.run.device)
    seconds = time.perf_counter() - started
    back = np.argsort(order)
    sizes = [len(images) for _, images in parts]
    grouping = Grouping(
        part=np.repeat([PARTS.index(name) for name, _ in parts], sizes).astype(np.int8),
        ids=pool.ids,
        label=pool.labels,
        group=found.groups[back],
        discovered=found.discovered[back],
    )
    cost = {"train_seconds": round(seconds, 2), "peak_memory": peak_memory(method.run.device)}
    summary = f"{len(np.unique(found.groups))} groups of {len(pool)} images in {seconds:.1f} s"
    return DiscoveryWork(grouping, found.log, cost, summary)


def _names(parts: list[tuple[str, ImageSet]]) -> tuple[str, ...]:
    """Enough class names for any part's labels; each part counts its own classes from 0."""
    return max((images.classes for _, images in parts), key=len)


def checked(found: Discovery, count: int) -> Discovery:
    """Refuse what the contract forbids, with a message for the method's author."""
    for name, array in (("groups", found.groups), ("discovered", found.discovered)):
        if array.shape != (count,):
            raise ValueError(f"discover returned {name} of shape {array.shape}, expected {(count,)}")
    if nowhere := int((found.groups < 0).sum()):
        raise ValueError(f"discover left {nowhere} images without a group")
    return found


def evaluate_groups(folder: Path, data: Mapping[str, Any]) -> Values:
    """All figures of a discovery cell, from its stored groups.

    Accuracy, AUC and OSCR are None: groups that were learnt from the test images themselves give no
    score for a single image. `transductive_accuracy` is the share of known test images that stand in
    the group of their class, which is no closed-set accuracy.
    """
    grouping = Grouping.load(folder)
    known = grouping.part == PARTS.index(KNOWN)
    right = (grouping.group == grouping.label)[known]
    nothing = {"auc": None, "oscr": None}
    sizes = {group: int((grouping.part == PARTS.index(group)).sum()) for group in UNKNOWN_GROUPS}
    return {
        "schema": SCHEMA,
        "metric_version": metrics.VERSION,
        "accuracy": None,
        "transductive_accuracy": float(right.mean()) if known.any() else None,
        "known_groups": len(np.unique(grouping.group[grouping.group < len(data["known"])])),
        "groups": {name: {"images": images, **nothing} for name, images in {**sizes, ALL: sum(sizes.values())}.items()},
        "variants": {},
        "decisions": {"threshold": None},
        "unknown_classes": [],
        "clusterings": [row for pool in POOLS for row in pool_rows(grouping, pool)],
    }


def pool_rows(grouping: Grouping, pool: str) -> list[Values]:
    """Two rows of figures for a pool: all its images, and the discovered ones with their share."""
    inside = in_pool(grouping.part, pool)
    truth = true_classes(grouping.part, grouping.label)
    rows = []
    for images, mask in (("all", inside), ("discovered", inside & grouping.discovered)):
        share = float(mask.sum() / inside.sum()) if inside.any() else None
        figures = agreement(truth[mask], grouping.group[mask])
        rows.append({"pool": pool, "by": "method", "of": images, "coverage": share, **figures})
    return rows
