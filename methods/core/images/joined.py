"""Several image sets as one, under new labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datasets.types import ImageSet, Index, Pixels


class JoinedPool:
    """The images of several sets in a row; pixels stay where they are.

    Args:
        parts: sets of one image size.
    """

    def __init__(self, parts: Sequence[ImageSet]) -> None:
        if len({part.image_size for part in parts}) != 1:
            raise ValueError("sets of different image sizes cannot be joined")
        self.__parts = tuple(parts)

    @property
    def image_size(self) -> int:
        return self.__parts[0].image_size

    def read(self, rows: Index) -> Pixels:
        """Pixels of some rows of all parts, (B, H, W, 3)."""
        pixels = np.empty((len(rows), *[self.image_size] * 2, 3), dtype=np.uint8)
        start = 0
        for part in self.__parts:
            mine = (rows >= start) & (rows < start + len(part))
            if mine.any():
                pixels[mine] = part.batch(rows[mine] - start)
            start += len(part)
        return pixels


class JoinedImages(ImageSet):
    """A set made of several; views of it are plain image sets.

    Args:
        parts: sets of one image size.
        labels: (N,) positions in `classes`, for all parts together.
        classes: names of the classes that labels refer to.
    """

    __slots__ = ()

    def __init__(self, parts: Sequence[ImageSet], labels: Index, classes: tuple[str, ...]) -> None:
        ids = np.concatenate([part.ids for part in parts])
        super().__init__(JoinedPool(parts), np.arange(len(ids)), labels, classes, ids)
