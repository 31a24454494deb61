"""What every metric says of itself, and what all metrics refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}


@dataclass(frozen=True)
class Metric:
    """A metric with what tables, files, pages and tests must know about it.

    Attributes:
        function: plain arrays in, a number out; its name is the key of the metric.
        title: as in headings.
        better: the direction of improvement.
        low, high: the range of values, in `unit`.
        source: where it comes from.
        unit: of the value; tables show fractions as per cent.
    """

    function: Callable[..., float]
    title: str
    better: Literal["higher", "lower", "neither"]
    low: float
    high: float
    source: str
    unit: Literal["fraction"] = "fraction"

    @property
    def name(self) -> str:
        """The key of the metric, in files too."""
        return self.function.__name__

    @property
    def needs(self) -> tuple[str, ...]:
        """The arrays that `function` takes, by name."""
        arguments = signature(self.function).parameters.values()
        return tuple(argument.name for argument in arguments if argument.default is Parameter.empty)

    @property
    def heading(self) -> str:
        """The title with an arrow in the direction of improvement."""
        return f"{self.title} {_ARROWS[self.better]}".rstrip()

    def __call__(self, **arrays: ArrayLike) -> float:
        """The value, from whatever arrays there are by name; those that it does not need are passed over."""
        return self.function(**{name: arrays[name] for name in self.needs})


def by_name(*metrics: Metric) -> Mapping[str, Metric]:
    """A read-only table of metrics, in the order given."""
    return MappingProxyType({metric.name: metric for metric in metrics})


def check_scores(**arrays: ArrayLike) -> tuple[Floats, ...]:
    """The arrays as float64, in the order given, after refusing what no metric can judge.

    Raises:
        ValueError: an array is not one-dimensional, is empty, or holds NaN or infinite values; the
            message names the array and the count.
    """
    return tuple(_checked(name, np.asarray(values, dtype=np.float64)) for name, values in arrays.items())


def _checked(name: str, values: Floats) -> Floats:
    if values.ndim != 1:
        raise ValueError(f"{name}: expected one score per image, got shape {values.shape}")
    if values.size == 0:
        raise ValueError(f"{name}: empty, 0 scores")
    if bad := int(np.count_nonzero(~np.isfinite(values))):
        raise ValueError(f"{name}: {bad} of {values.size} scores are NaN or infinite")
    return values


def check_labels(**arrays: ArrayLike) -> tuple[Ints, ...]:
    """The arrays as int64, in the order given: one-dimensional, not empty, of one length.

    Raises:
        ValueError: otherwise, or if an array does not hold integers; the message names the array.
    """
    found = {name: np.asarray(values) for name, values in arrays.items()}
    for name, values in found.items():
        if values.ndim != 1 or values.size == 0:
            raise ValueError(f"{name}: expected one number per image, got shape {values.shape}")
        if not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name}: expected integers, got {values.dtype}")
    if len({values.size for values in found.values()}) > 1:
        raise ValueError("different lengths: " + ", ".join(f"{name} {values.size}" for name, values in found.items()))
    return tuple(values.astype(np.int64) for values in found.values())


def check_correct(correct: ArrayLike, known: Floats) -> Bools:
    """`correct` as booleans; numbers are refused, since 0 and 1 would be taken for positions."""
    flags = np.asarray(correct)
    if flags.dtype != np.bool_:
        raise ValueError(f"correct: expected booleans, got {flags.dtype}")
    if flags.shape != known.shape:
        raise ValueError(f"different lengths: known {known.size}, correct {flags.size}")
    return flags
