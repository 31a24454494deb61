"""The parts of a split that a method is asked about, and the pools that are clustered together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.record import DataFacts
from datasets.seeds import seed_of
from datasets.splits import UNKNOWN_GROUPS
from datasets.types import ImageSet, Split

VAL = "val"
KNOWN = "known"  # test images of known classes
ALL = "all"  # of all groups of unknown classes together
PARTS: tuple[str, ...] = (VAL, KNOWN, *UNKNOWN_GROUPS)
MOST_CLASSES = 4096  # that data can have; a confusion matrix of more would not fit into memory

# Test images of known classes and of one group of unknown classes, as POSE's code offers them.
POOLS: Mapping[str, tuple[str, ...]] = {
    ALL: (KNOWN, *UNKNOWN_GROUPS),
    **{f"{KNOWN}+{group}": (KNOWN, group) for group in UNKNOWN_GROUPS},
    "unknown": UNKNOWN_GROUPS,
}

Ints = NDArray[np.int64]


def parts_of(split: Split) -> Iterator[tuple[str, ImageSet]]:
    """Every part of a split that has images, in the order of PARTS."""
    parts = {VAL: split.val, KNOWN: split.test, **{group: split.unknown.get(group) for group in UNKNOWN_GROUPS}}
    for name in PARTS:
        images = parts[name]
        if images is not None and len(images):
            yield name, images


def part_numbers(names: list[str], sizes: list[int]) -> NDArray[np.int8]:
    """(N,) positions in PARTS of images that come part after part."""
    return np.repeat([PARTS.index(name) for name in names], sizes).astype(np.int8)


def in_pool(part: NDArray[np.int8], pool: str) -> NDArray[np.bool_]:
    """(N,) which images belong to a pool; `part` holds positions in PARTS."""
    return np.isin(part, [PARTS.index(name) for name in POOLS[pool]])


def true_classes(part: NDArray[np.int8], label: Ints) -> Ints:
    """(N,) one id for every class, where every unknown class of every group is a class of its own."""
    return part.astype(np.int64) * (int(label.max(initial=0)) + 1) + label


def pool_order(count: int) -> Ints:
    """The fixed shuffled order in which a pool is handed out, so that positions tell nothing about classes."""
    return np.random.default_rng(seed_of("pool")).permutation(count)


def misfit(part: NDArray[np.int8], label: Ints, data: DataFacts) -> str | None:
    """Which label (N,) has no class in the record of the cell; None if all have one."""
    if len(data.known) > MOST_CLASSES:
        return f"the record names {len(data.known):,} classes; at most {MOST_CLASSES:,} can be compared"
    for number, name in enumerate(PARTS):
        classes = data.known if name in (VAL, KNOWN) else data.unknown.get(name, ())
        largest = int(label[part == number].max(initial=-1))
        if largest >= len(classes):
            return f"it has label {largest} among its {name} images, the record names {len(classes)} classes there"
    return None
