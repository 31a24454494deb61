"""Which images stand for a class when only some of them are wanted."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby

import numpy as np

from datasets.seeds import seed_of
from datasets.types import Index

CHOICE = 1  # raise when other images are chosen


def chosen(names: Sequence[str], classes: Sequence[Hashable], limit: int | None) -> Index:
    """Positions of at most `limit` images of each class, in their given order.

    A class is put into the order of its folders, shuffled within each folder, and every n-th image is taken. So each
    folder (a source of real images, a video, a category) keeps its share up to one image, however deep it lies. The
    shuffle depends on nothing but the names: splits that share a class in a role choose the same images.

    Args:
        names: (N,) relative paths with "/".
        classes: (N,) what the limit applies to.
        limit: images per class; None takes all.
    """
    if limit is None:
        return np.arange(len(names))
    keys = [
        (str(label), name.rpartition("/")[0].split("/"), seed_of("choice", name))
        for name, label in zip(names, classes, strict=True)
    ]
    order = sorted(range(len(names)), key=keys.__getitem__)
    taken: list[int] = []
    for label, members in groupby(order, key=lambda position: keys[position][0]):
        taken += _every_nth(list(members), limit, seed_of("start", label))
    return np.array(sorted(taken), dtype=np.int64)


def _every_nth(members: list[int], limit: int, seed: int) -> list[int]:
    """At most `limit` of the members, evenly spaced from a start that the seed draws."""
    if len(members) <= limit:
        return members
    step = len(members) / limit
    start = step * float(np.random.default_rng(seed).random())
    return [members[min(int(start + step * turn), len(members) - 1)] for turn in range(limit)]
