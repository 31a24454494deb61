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
        rows: (N,) which images of the row of sets these are; all of them in order by default.
        ids: (N,) names of the images; by default those that they have in their sets.
    """

    __slots__ = ("__parts", "__rows")

    def __init__(
        self,
        parts: Sequence[ImageSet],
        labels: Index,
        classes: tuple[str, ...],
        rows: Index | None = None,
        ids: NDArray[np.str_] | None = None,
    ) -> None:
        if len({part.image_size for part in parts}) != 1:
            raise ValueError("sets of different image sizes cannot be joined")
        every = np.concatenate([part.ids for part in parts])
        chosen = np.arange(len(every)) if rows is None else rows
        nothing = np.empty((0, *[parts[0].image_size] * 2, 3), dtype=np.uint8)
        super().__init__(nothing, chosen, labels, classes, every[chosen] if ids is None else ids)
        self.__parts, self.__rows = tuple(parts), chosen

    def batch(self, index: Index | slice) -> Pixels:
        rows = self.__rows[index]
        pixels = np.empty((len(rows), *[self.image_size] * 2, 3), dtype=np.uint8)
        start = 0
        for part in self.__parts:
            mine = (rows >= start) & (rows < start + len(part))
            if mine.any():
                pixels[mine] = part.batch(rows[mine] - start)
            start += len(part)
        return pixels

    def take(self, index: Index | NDArray[np.bool_]) -> JoinedImages:
        return JoinedImages(self.__parts, self.labels[index], self.classes, self.__rows[index], self.ids[index])

    def unlabelled(self, order: Index) -> JoinedImages:
        bare = super().unlabelled(order)
        return JoinedImages(self.__parts, bare.labels, bare.classes, self.__rows[order], bare.ids)
