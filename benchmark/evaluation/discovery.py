"""Cells of discovery methods: a pool without labels goes in, clusters come out and are kept."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.arrays import check_range, columns
from benchmark.cells.files import write_arrays
from benchmark.cells.record import DataFacts
from benchmark.evaluation.answers import Answers
from benchmark.evaluation.figures import DiscoveryEvaluation, FoundClusters
from benchmark.evaluation.parts import (
    KNOWN,
    MOST_CLASSES,
    PARTS,
    POOLS,
    VAL,
    in_pool,
    misfit,
    part_numbers,
    parts_of,
    pool_order,
    true_classes,
)
from benchmark.metrics.clustering import cluster_figures
from benchmark.metrics.open_set import VERSION
from datasets.types import Split
from methods.core.images.joined import JoinedImages
from methods.core.method import Discovery, DiscoveryMethod
from methods.core.validity import checked_discovery


@dataclass(frozen=True)
class Groups(Answers):
    """What a discovery method said about every test image, in the order of PARTS.

    Attributes:
        part: (N,) position in PARTS.
        ids: (N,) names of the images.
        label: (N,) class within its part.
        group: (N,) below K a known class, from K on a discovered cluster.
        discovered: (N,) whether the image was placed before left-overs went to the nearest cluster.
    """

    FILE: ClassVar[str] = "groups.npz"

    part: NDArray[np.int8]
    ids: NDArray[np.str_]
    label: NDArray[np.int64]
    group: NDArray[np.int64]
    discovered: NDArray[np.bool_]

    def save(self, folder: Path) -> None:
        write_arrays(folder / self.FILE, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, folder: Path) -> Groups:
        path = folder / cls.FILE
        arrays = columns(path, _COLUMNS)
        check_range(path, arrays, 0, len(PARTS) - 1, "part")
        check_range(path, arrays, 0, MOST_CLASSES, "label")
        check_range(path, arrays, 0, np.iinfo(np.int32).max, "group")
        return cls(**arrays)

    def misfit(self, data: DataFacts) -> str | None:
        return misfit(self.part, self.label, data)

    def evaluate(self, data: DataFacts, official: bool = False) -> DiscoveryEvaluation:
        known = self.part == PARTS.index(KNOWN)
        right = (self.group == self.label)[known]
        return DiscoveryEvaluation(
            metric_version=VERSION,
            transductive_accuracy=float(right.mean()) if known.any() else None,
            known_clusters=len(np.unique(self.group[self.group < len(data.known)])),
            clusterings=tuple(figures for pool in POOLS for figures in self._pool(pool)),
        )

    def _pool(self, pool: str) -> tuple[FoundClusters, FoundClusters]:
        """Figures of a pool: of all its images, and of the discovered ones with their share."""
        inside = in_pool(self.part, pool)
        return self._clusters(pool, "all", inside, inside), self._clusters(
            pool, "discovered", inside & self.discovered, inside
        )

    def _clusters(
        self, pool: str, of: Literal["all", "discovered"], chosen: NDArray[np.bool_], inside: NDArray[np.bool_]
    ) -> FoundClusters:
        found = cluster_figures(true_classes(self.part, self.label)[chosen], self.group[chosen])
        coverage = float(chosen.sum() / inside.sum()) if inside.any() else None
        return FoundClusters(pool, found.images, found.classes, found.clusters, found.figures, of, coverage)


_COLUMNS = {"part": "i", "ids": "U", "label": "i", "group": "i", "discovered": "b"}


def discover_split(method: DiscoveryMethod, split: Split) -> tuple[Groups, Discovery]:
    """Hand a method the training set, the validation set and the pool of all test images.

    The pool comes shuffled, without labels, classes, sources or telling names.

    Raises:
        ValueError: the answer is not as the contract says.
    """
    parts = [(name, images) for name, images in parts_of(split) if name != VAL]
    # Enough class names for any part's labels; each part counts its own classes from 0.
    names = max((images.classes for _, images in parts), key=len)
    pool = JoinedImages([images for _, images in parts], np.concatenate([s.labels for _, s in parts]), names)
    order = pool_order(len(pool))
    found = checked_discovery(method.discover(split.train, split.val, pool.unlabelled(order)), len(pool))
    back = np.argsort(order)
    part = part_numbers([name for name, _ in parts], [len(images) for _, images in parts])
    return Groups(part, pool.ids, pool.labels, found.groups[back], found.discovered[back]), found
