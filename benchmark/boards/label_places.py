"""Where small labels stand beside crowded points, so that they hide neither each other nor a point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DISTANCES = (9.0, 14.0, 20.0, 27.0, 35.0, 44.0)  # from point to middle of its label
DIRECTIONS = 16
MISTAKEN = 0.1  # what it costs, in labels hidden, to stand hardly nearer to its own point than to another
CLEARLY = 1.3  # times as far the others should be

Floats = NDArray[np.float64]


def places(points: Floats, size: tuple[float, float], area: Floats) -> Floats:
    """The nearest free place of every label, the most crowded points first.

    Args:
        points: (N, 2) positions, in the unit of DISTANCES: typographic points.
        size: width and height of a label.
        area: (2, 2) lower left and upper right corner that labels should stay within.

    Returns:
        (N, 2) middles of the labels. Where no place is free it is the one that overlaps the least.
    """
    taken = np.empty((0, 2))
    found = np.empty_like(points, dtype=np.float64)
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    for index in np.argsort(np.sort(apart, axis=1)[:, :4].sum(axis=1), kind="stable"):
        choices = points[index] + _ring()
        costs = _overlaps(choices, taken, size, 1.0) + _overlaps(choices, points, size, 0.5)
        outside = (choices - np.array(size) / 2 < area[0]) | (choices + np.array(size) / 2 > area[1])
        costs += outside.any(axis=1) + MISTAKEN * _nearer_to_others(choices, points, index)
        found[index] = choices[np.argmin(costs)]  # the first, hence nearest, of the best
        taken = np.vstack([taken, found[index]])
    return found


def _ring() -> Floats:
    """(M, 2) offsets to try, the nearest first, in each distance the diagonal ones: error bars lie along the axes."""
    angles = 2 * np.pi * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    angles = angles[np.argsort(-np.abs(np.sin(2 * angles)).round(6), kind="stable")]
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return (np.array(DISTANCES)[:, None, None] * circle).reshape(-1, 2)


def _overlaps(choices: Floats, others: Floats, size: tuple[float, float], share: float) -> Floats:
    """(M,) how much of a label a choice would hide, in labels: boxes of one size, the others' scaled by `share`.

    Half a label's box stands for a point with its marker.
    """
    reach = np.array(size) * (1 + share) / 2
    gap = np.maximum(reach - np.abs(choices[:, None] - others[None]), 0)
    return np.asarray(gap.prod(axis=2).sum(axis=1) / np.prod(size))


def _nearer_to_others(choices: Floats, points: Floats, index: int) -> NDArray[np.bool_]:
    """(M,) where a label would be taken for that of another point than its own."""
    distances = np.hypot(*(choices[:, None] - points[None]).transpose(2, 0, 1))
    distances[:, index] *= CLEARLY
    return np.asarray(distances.argmin(axis=1) != index)
