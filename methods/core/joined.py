"""Several image sets as one, under new labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.types import ImageSet, Index, Pixels


class JoinedImages(ImageSet):
    """The images of several sets in a row; pixels stay where they are.

    Args:
        parts: sets of one image size.
        labels: (N,) positions in `classes`, for all parts together.
        classes: names of the classes that labels refer to.
    """

    __slots__ = ("_ends", "_parts")

    def __init__(self, parts: Sequence[ImageSet], labels: Index, classes: tuple[str, ...]) -> None:
        if len({part.image_size for part in parts}) != 1:
            raise ValueError("sets of different image sizes cannot be joined")
        nothing = np.empty((0, *[parts[0].image_size] * 2, 3), dtype=np.uint8)
        ids = np.concatenate([part.ids for part in parts])
        super().__init__(nothing, np.arange(len(labels)), labels, classes, ids)
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    @property
    def image_size(self) -> int:
        return self._parts[0].image_size

    def batch(self, index: Index | slice) -> Pixels:
        rows = np.arange(len(self))[index]
        owner = np.searchsorted(self._ends, rows, side="right")
        pixels = np.empty((len(rows), *[self.image_size] * 2, 3), dtype=np.uint8)
        for position, part in enumerate(self._parts):
            mine = owner == position
            if mine.any():
                pixels[mine] = part.batch(rows[mine] - (self._ends[position] - len(part)))
        return pixels

    def take(self, index: Index | NDArray[np.bool_]) -> ImageSet:
        """A set of its own, with copies of the pixels."""
        rows = np.arange(len(self))[index]
        return ImageSet(self.batch(rows), np.arange(len(rows)), self.labels[rows], self.classes, self.ids[rows])

    def unlabelled(self, order: Index) -> ImageSet:
        return self.take(order).unlabelled(np.arange(len(order)))
