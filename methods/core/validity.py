"""What a method is given and what it may answer: the same rules in every run and in the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import UserError
from datasets.types import ImageSet
from methods.core.method import Discovery, Prediction


def check_training(train: ImageSet) -> None:
    """Every class that a method shall learn has an image to learn it from.

    Raises:
        UserError: a class has none.
    """
    empty = np.setdiff1d(np.arange(len(train.classes)), train.labels)
    if empty.size:
        name = train.classes[empty[0]]
        raise UserError(f"class '{name}' has no training image; add images, or take the class off the split")


def checked(prediction: Prediction, count: int, num_classes: int) -> Prediction:
    """The prediction for `count` images, if it is as `Prediction` says.

    Raises:
        ValueError: it is not, in words for the author of the method.
    """
    _check("scores", prediction.scores, np.float64, (count, num_classes))
    _check("confidence", prediction.confidence, np.float64, (count,))
    for name, values in prediction.variants.items():
        _check(f"variant '{name}'", values, np.float64, (count,))
    width = int(np.prod(np.shape(prediction.features)[1:])) if np.ndim(prediction.features) == 2 else 1
    _check("features", prediction.features, np.float32, (count, max(1, width)))
    return prediction


def checked_discovery(found: Discovery, count: int) -> Discovery:
    """The groups of `count` images, if they are as `Discovery` says.

    Raises:
        ValueError: they are not, in words for the author of the method.
    """
    _check("groups", found.groups, np.int64, (count,), by="discover")
    _check("discovered", found.discovered, np.bool_, (count,), by="discover")
    if nowhere := int((found.groups < 0).sum()):
        raise ValueError(f"discover left {nowhere} images without a group")
    return found


def _check(name: str, array: NDArray[Any], kind: type, shape: tuple[int, ...], by: str = "predict") -> None:
    """Refuse another shape, another type of number, and numbers that are not finite."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{by} returned {name} as {type(array).__name__}, expected a NumPy array")
    if array.shape != shape:
        raise ValueError(f"{by} returned {name} of shape {array.shape}, expected {shape}")
    if array.dtype != kind:
        wanted = np.dtype(kind).name
        raise ValueError(f"{by} returned {name} of type {array.dtype}, expected {wanted}: use .astype(np.{wanted})")
    wrong = int(array.size - np.isfinite(array).sum())
    if wrong:
        raise ValueError(f"{by} returned {wrong} non-finite values in {name}; has its training diverged?")
