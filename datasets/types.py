"""What everything above passes around: sets of images, splits, data sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Index = NDArray[np.int64]

UNLABELLED = -1


class Pool(Protocol):
    """Where the pixels of image sets lie."""

    @property
    def image_size(self) -> int:
        """Side of the square images, in pixels."""

    def read(self, rows: Index) -> Pixels:
        """A fresh array with the pixels of some rows, (B, H, W, 3)."""


@dataclass(frozen=True)
class ArrayPool:
    """A pool in memory or in a memory-mapped file: (N, H, W, 3)."""

    pixels: Pixels

    @property
    def image_size(self) -> int:
        return int(self.pixels.shape[1])

    def read(self, rows: Index) -> Pixels:
        return np.ascontiguousarray(self.pixels[rows])


class ImageSet:
    """A read-only view of some images of a pool, with their labels.

    The pool is private: whoever holds a view can reach the rows of that view and no others.

    Args:
        pool: pixels (N, H, W, 3), or what reads them.
        rows: (N,) which images of the pool these are.

    Attributes:
        labels: (N,) int64 positions in `classes`; all -1 in an unlabelled pool.
        classes: names of the classes that labels refer to.
        sources: (N,) finer origin of each image, for reports only; None if not known.
        ids: (N,) stable names of the images.
    """

    __slots__ = ("__pool", "__rows", "classes", "ids", "labels", "sources")

    def __init__(
        self,
        pool: Pixels | Pool,
        rows: Index,
        labels: Index,
        classes: tuple[str, ...],
        ids: NDArray[np.str_],
        sources: NDArray[np.str_] | None = None,
    ) -> None:
        if not len(rows) == len(labels) == len(ids) == (len(rows) if sources is None else len(sources)):
            raise ValueError("rows, labels, ids and sources must have one entry per image")
        if len(labels) and (labels.min() < UNLABELLED or labels.max() >= len(classes)):
            raise ValueError(f"labels must lie in -1..{len(classes) - 1}, not {labels.min()}..{labels.max()}")
        self.__pool: Pool = ArrayPool(pool) if isinstance(pool, np.ndarray) else pool
        self.__rows = _frozen(rows)
        self.labels = _frozen(labels)
        self.classes = classes
        self.ids = _frozen(ids)
        self.sources = None if sources is None else _frozen(sources)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"ImageSet({len(self)} images of {self.image_size} px, {len(self.classes)} classes)"

    @property
    def image_size(self) -> int:
        """Side of the square images, in pixels."""
        return self.__pool.image_size

    def batch(self, index: Index | slice) -> Pixels:
        """Pixels of some images of this view: (B, H, W, 3)."""
        return self.__pool.read(self.__rows[index])

    def take(self, index: Index | NDArray[np.bool_]) -> ImageSet:
        """A view of some images of this view."""
        sources = None if self.sources is None else self.sources[index]
        return ImageSet(self.__pool, self.__rows[index], self.labels[index], self.classes, self.ids[index], sources)

    def unlabelled(self, order: Index) -> ImageSet:
        """The same images in another order, without labels, classes, sources or telling names."""
        ids = np.array([f"image-{position:06d}" for position in range(len(order))], dtype=np.str_)
        labels = np.full(len(order), UNLABELLED, dtype=np.int64)
        return ImageSet(self.__pool, self.__rows[order], labels, (), ids)


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    view = values.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class Split:
    """One assignment of roles to classes.

    Attributes:
        train, val, test: images of known classes; class 0 is "real". The test set may hold real
            images of sources that training has not seen.
        unknown: test images of the unknown groups; labels of a group refer to its own classes.
    """

    name: str
    train: ImageSet
    val: ImageSet
    test: ImageSet
    unknown: Mapping[str, ImageSet]


class Dataset(ABC):
    """A collection of splits over one pool of images."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As on the command line and in folder names."""

    @property
    @abstractmethod
    def title(self) -> str:
        """As in headings, with what a reader has to know to judge a table."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the recipe that yields labels and pixels; equal hashes mean equal data."""

    @property
    def pixels(self) -> str | None:
        """Digest of labels and decoded pixels, a part of the fingerprint; None where pixels follow from the recipe."""
        return None

    @property
    @abstractmethod
    def coverage(self) -> float:
        """Share of the images named by the recipe that are present, in (0, 1]."""

    @property
    @abstractmethod
    def split_names(self) -> tuple[str, ...]:
        """The splits that results are averaged over."""

    @property
    def extra_splits(self) -> tuple[str, ...]:
        """Splits that can be asked for by name and belong to no leaderboard."""
        return ()

    @property
    def all_splits(self) -> tuple[str, ...]:
        """Every split that can be asked for by name."""
        return (*self.split_names, *self.extra_splits)

    @abstractmethod
    def split(self, name: str) -> Split:
        """One split; views of the shared pool, so this is cheap.

        Raises:
            UserError: there is no such split.
        """
