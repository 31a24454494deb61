"""Batches of training images: which rows, in which order, and how their pixels reach the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from datasets.seeds import seed_of
from datasets.types import ImageSet, Index

Sampler = Literal["balanced", "shuffled", "paired"]
Transform = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Batch:
    """One training batch on the device.

    Attributes:
        images: what the transform made of the pixels; (B, 3, H, W) float in [-1, 1] by default.
        labels: (B,) int64.
        index: (B,) rows of the training set.
    """

    images: Tensor
    labels: Tensor
    index: Tensor


def normalise(pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Bytes (B, 3, H, W) to floats in [-1, 1]: x / 127.5 - 1."""
    return pixels.float().div_(127.5).sub_(1.0)


class DevicePixels:
    """The pixels of an image set as (B, 3, H, W) bytes on a device.

    A set that fits stays there and costs its size in bytes once; a larger one is read batch by batch
    from its memory-mapped pool.
    """

    def __init__(self, images: ImageSet, device: torch.device, resident_bytes: int) -> None:
        self._images, self._device = images, device
        size = len(images) * images.image_size**2 * 3
        self._resident = self._read(np.arange(len(images))) if size <= resident_bytes else None

    def __getitem__(self, index: Index) -> Tensor:
        if self._resident is None:
            return self._read(index)
        return self._resident.index_select(0, torch.from_numpy(index).to(self._device))  # copies whole rows

    def _read(self, index: Index) -> Tensor:
        pixels = torch.from_numpy(self._images.batch(index))
        return pixels.to(self._device).permute(0, 3, 1, 2).contiguous()


class Batches:
    """Endless, seeded batches; every epoch's order depends on nothing but seed, name and epoch.

    So an interrupted training continues with the very batches that it would have had.

    Samplers, each with what `size` counts:
        balanced: images per class and batch (B = size x K, item-major). Item i holds image i mod n_c of
            every class c, in data-set order, and a pass has as many items as the largest class has
            images: the loader of the official POSE code.
        shuffled: images per batch, a permutation of the set per pass.
        paired: pairs per batch (B = 2 x size). Rows 2j and 2j + 1 belong together; the first runs
            through a permutation of the set, the second is drawn uniformly with replacement.

    An epoch has `passes` times `steps` batches, by default those of one pass, and never more than
    `max_steps`. `views` repeats every image that many times in a row before the transform sees it.
    """

    def __init__(
        self,
        images: ImageSet,
        pixels: DevicePixels,
        device: torch.device,
        seed: int,
        *,
        sampler: Sampler = "balanced",
        size: int = 8,
        steps: int | None = None,
        passes: int = 1,
        max_steps: int | None = None,
        views: int = 1,
        drop_last: bool = False,
        transform: Transform = normalise,
    ) -> None:
        self._labels, self._pixels, self._device, self._seed = images.labels, pixels, device, seed
        self._size, self._views, self._transform = size, views, transform
        self._rows_of_item = self._items(images, sampler)
        items = len(self._rows_of_item)
        self._pass = max(1, items // size) if drop_last else math.ceil(items / size)
        wanted = passes * (steps if steps is not None else self._pass)
        self._steps = min(wanted, max_steps) if max_steps is not None else wanted

    def __len__(self) -> int:
        """Batches per epoch."""
        return self._steps

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch; passes follow each other until the epoch has its steps."""
        for lap in range(math.ceil(self._steps / self._pass)):
            order = np.random.default_rng(seed_of(self._seed, "order", number, lap))
            items = order.permutation(len(self._rows_of_item))
            partners = order.integers(len(self._labels), size=len(items))
            for position in range(min(self._pass, self._steps - lap * self._pass)):
                chosen = slice(position * self._size, (position + 1) * self._size)
                seed = seed_of(self._seed, "view", number, lap, position)
                yield self._batch(self._rows(items[chosen], partners[chosen]), seed)

    def _items(self, images: ImageSet, sampler: Sampler) -> Index:
        """(items, rows per item): the training rows of every item; -1 stands for a partner to be drawn."""
        if sampler == "shuffled":
            return np.arange(len(images))[:, None]
        if sampler == "paired":
            return np.stack([np.arange(len(images)), np.full(len(images), -1)], axis=1)
        members = [np.flatnonzero(images.labels == label) for label in range(len(images.classes))]
        longest = max(len(rows) for rows in members)
        return np.stack([rows[np.arange(longest) % len(rows)] for rows in members if len(rows)], axis=1)

    def _rows(self, items: Index, partners: Index) -> Index:
        rows = self._rows_of_item[items]
        return np.where(rows < 0, partners[:, None], rows).reshape(-1)

    def _batch(self, rows: Index, seed: int) -> Batch:
        rows = np.repeat(rows, self._views)
        index = torch.from_numpy(rows).to(self._device)
        labels = torch.from_numpy(self._labels[rows]).to(self._device)
        generator = torch.Generator(self._device).manual_seed(seed)
        return Batch(self._transform(self._pixels[rows], generator), labels, index)
