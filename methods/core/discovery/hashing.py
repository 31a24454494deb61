"""Winner-take-all hashing of features, and which images lie within a class by their mean hash distance.

Yagnik et al., "The power of comparative reasoning", ICCV 2011; as an out-of-distribution test in Girish
et al., ICCV 2021 (Sharath-girish/openworld-gan, ood_detection.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ScaleKind = Literal["mean_std", "min_max", "none"]

_BLOCK_VALUES = 2**23  # values that a block of rows may hold at once


@dataclass(frozen=True)
class Scaler:
    """Per-feature shift and scale; a constant feature is only shifted."""

    shift: Floats
    scale: Floats

    @classmethod
    def fitted(cls, rows: NDArray[np.float32], kind: ScaleKind) -> Scaler:
        """From rows (n, D): to mean 0 and deviation 1 (ddof 0), to 0..1, or no change."""
        values = rows.astype(np.float64)
        if kind == "none":
            return cls(np.zeros(values.shape[1]), np.ones(values.shape[1]))
        if kind == "min_max":
            shift, scale = values.min(axis=0), np.ptp(values, axis=0)
        else:
            shift, scale = values.mean(axis=0), values.std(axis=0)
        return cls(shift, np.where(scale == 0, 1.0, scale))

    def __call__(self, rows: NDArray[np.float32]) -> Floats:
        scaled: Floats = (rows.astype(np.float64) - self.shift) / self.scale
        return scaled


@dataclass(frozen=True)
class ThresholdRule:
    """How far apart members of a class are allowed to be, from all their pairwise distances.

    quantiles: the k-th largest distance, k = max(1, floor(M (1 - value))), of the M = n^2 entries of the
    full matrix, the zero diagonal included; mean_std: mean + value x deviation (ddof 1) of these entries.
    """

    kind: Literal["quantiles", "mean_std"] = "quantiles"
    value: float = 0.9

    def __call__(self, counts: Ints) -> float:
        """The threshold from how often every distance 0, 1, 2, ... occurs."""
        entries, distances = int(counts.sum()), np.arange(len(counts))
        if self.kind == "quantiles":
            rank = max(1, int(entries * (1 - self.value)))
            from_the_top = np.cumsum(counts[::-1])
            return float(len(counts) - 1 - np.searchsorted(from_the_top, rank))
        mean = float(counts @ distances) / entries
        squares = float(counts @ (distances - mean) ** 2)
        return mean + self.value * (squares / max(1, entries - 1)) ** 0.5


class WinnerTakeAll:
    """N hashes of a feature vector: which of a few fixed dimensions holds the largest value.

    The distance of two vectors is the number of hashes that differ, 0..N. It depends on the order of
    values alone. For windows of two dimensions codes become signs, and the distance (N - b . b') / 2;
    hence the mean distance to a set needs only the set's mean code.

    Args:
        positions: (N, W) the dimensions that each hash compares.
    """

    def __init__(self, positions: Ints) -> None:
        self.positions = positions
        self.hashes, self.window = positions.shape

    @classmethod
    def drawn(cls, hashes: int, window: int, features: int, rng: np.random.Generator) -> WinnerTakeAll:
        """The first `window` entries of that many random permutations of the dimensions."""
        keys = rng.random((hashes, features))
        return cls(np.argsort(keys, axis=1, kind="stable")[:, :window])

    def codes(self, rows: Floats) -> Codes:
        """(n, N) for rows (n, D): position of the largest value in each window; ties go to the first."""
        found = np.empty((len(rows), self.hashes), dtype=np.uint8)
        for block in blocks(len(rows), self.positions.size):
            found[block] = rows[block][:, self.positions].argmax(axis=2)
        return found

    def vectors(self, codes: Codes) -> NDArray[np.float32]:
        """Codes as vectors whose products count agreements: signs (n, N), or (n, N W) for larger windows."""
        if self.window == 2:
            return codes.astype(np.float32) * 2 - 1
        one_hot = codes[..., None] == np.arange(self.window, dtype=np.uint8)
        return one_hot.reshape(len(codes), -1).astype(np.float32)

    def distances(self, products: NDArray[Any]) -> NDArray[Any]:
        """Distances from products of code vectors, in their precision."""
        return (self.hashes - products) / 2 if self.window == 2 else self.hashes - products

    def counts(self, codes: Codes) -> Ints:
        """(N + 1,) how often each distance occurs in the full matrix of pairs; memory grows with n alone."""
        vectors = self.vectors(codes)
        counts = np.zeros(self.hashes + 1, dtype=np.int64)
        for block in blocks(len(vectors), len(vectors)):
            distances = self.distances(vectors[block] @ vectors.T)  # whole numbers: exact in float32
            counts += np.bincount(distances.astype(np.int64).ravel(), minlength=self.hashes + 1)
        return counts

    def mean_distances(self, codes: Codes, members: Codes) -> Floats:
        """(n,) mean distance of every row to all members (m, N) of a set."""
        width = self.hashes if self.window == 2 else self.hashes * self.window
        total = np.zeros(width)
        for block in blocks(len(members), width):
            total += self.vectors(members[block]).sum(axis=0, dtype=np.float64)
        centre, found = total / len(members), np.empty(len(codes))
        for block in blocks(len(codes), width):
            found[block] = self.distances(self.vectors(codes[block]).astype(np.float64) @ centre)
        return found

    def accepted(self, codes: Codes, sets: Sequence[Codes], rule: ThresholdRule) -> Bools:
        """(n, len(sets)) whether a row's mean distance to a set is below the set's own threshold, strictly."""
        inside = np.zeros((len(codes), len(sets)), dtype=bool)
        for column, members in enumerate(sets):
            if len(members):
                inside[:, column] = self.mean_distances(codes, members) < rule(self.counts(members))
        return inside


def attribute(groups: Ints, predicted: Ints, in_known: Bools, in_discovered: Bools, num_known: int) -> Ints:
    """Groups after the out-of-distribution test; only images without a group (-1) can get one.

    Args:
        groups: (n,) -1, a known class below `num_known`, or a discovered group.
        predicted: (n,) the network's best output over known classes and discovered groups.
        in_known, in_discovered: (n, sets) whether an image lies within each of them. It takes the
            predicted group if it lies within any set of that kind, not necessarily the predicted one.
    """
    inside = np.where(predicted < num_known, in_known.any(axis=1), in_discovered.any(axis=1))
    return np.where((groups == -1) & inside, predicted, groups)


def blocks(rows: int, row_values: int) -> Iterator[slice]:
    """Slices of rows that keep a block within bounds when a row makes so many values."""
    size = max(1, _BLOCK_VALUES // max(1, row_values))
    for start in range(0, rows, size):
        yield slice(start, start + size)
