"""The images that lists name for one role of a split, or for one unknown group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasets.types import Index

ROLES: tuple[str, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Listing:
    """Images of one role of a split.

    Attributes:
        names: (N,) relative paths; an image is called by it everywhere.
        labels: (N,) int64 positions in `classes`.
        classes: of the role, or of the unknown group.
        sources: (N,) finer origin.
    """

    names: Sequence[str]
    labels: Index
    classes: tuple[str, ...]
    sources: Sequence[str]

    def take(self, index: Index) -> Listing:
        """Some of the images."""
        positions = index.tolist()
        names, sources = ([values[position] for position in positions] for values in (self.names, self.sources))
        return Listing(names, self.labels[index], self.classes, sources)

    @classmethod
    def empty(cls, classes: tuple[str, ...]) -> Listing:
        return cls((), np.empty(0, dtype=np.int64), classes, ())
