"""What a method may answer, and what it is given: every rule has its refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from datasets.errors import UserError
from methods.core.method import Discovery, Prediction
from methods.core.validity import check_training, checked, checked_discovery
from tests.methods.data import textures

GOOD = Prediction(np.zeros((3, 2)), np.zeros(3), np.zeros((3, 4), np.float32), {"margin": np.zeros(3)})
FOUND = Discovery(np.zeros(3, np.int64), np.zeros(3, np.bool_), [])


def test_what_is_as_declared_passes_as_it_is() -> None:
    assert checked(GOOD, 3, 2) is GOOD
    assert checked_discovery(FOUND, 3) is FOUND


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"scores": np.zeros((3, 2), np.float32)},
            r"scores of type float32, expected float64: use .astype\(np.float64\)",
        ),
        ({"scores": np.zeros((3, 3))}, r"scores of shape \(3, 3\), expected \(3, 2\)"),
        ({"scores": [[0.0, 1.0]] * 3}, "scores as list, expected a NumPy array"),
        ({"confidence": np.zeros((3, 1))}, r"confidence of shape \(3, 1\), expected \(3,\)"),
        ({"confidence": np.zeros(3, np.int64)}, "confidence of type int64, expected float64"),
        ({"confidence": np.array([0, np.nan, np.inf])}, "2 non-finite values in confidence; has its training diverged"),
        ({"features": np.zeros((3, 4))}, "features of type float64, expected float32"),
        ({"features": np.zeros(3, np.float32)}, r"features of shape \(3,\), expected \(3, 1\)"),
        ({"features": np.zeros((3, 0), np.float32)}, r"features of shape \(3, 0\), expected \(3, 1\)"),
        ({"variants": {"margin": np.zeros(2)}}, r"variant 'margin' of shape \(2,\), expected \(3,\)"),
        ({"variants": {"margin": np.zeros(3, np.float32)}}, "variant 'margin' of type float32, expected float64"),
    ],
)
def test_a_prediction_that_is_otherwise_is_refused_in_words_for_its_author(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^predict returned {message}"):
        checked(replace(GOOD, **change), 3, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": np.zeros(3, np.int32)}, "returned groups of type int32, expected int64"),
        ({"groups": np.array([0, -1, -1])}, "left 2 images without a group"),
        ({"discovered": np.zeros(2, np.bool_)}, r"returned discovered of shape \(2,\), expected \(3,\)"),
        ({"discovered": np.zeros(3)}, "returned discovered of type float64, expected bool"),
    ],
)
def test_groups_that_are_otherwise_are_refused_too(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^discover {message}"):
        checked_discovery(replace(FOUND, **change), 3)


def test_a_class_without_training_images_is_refused_before_any_method_sees_it() -> None:
    images = textures(3, 2, 32)
    check_training(images)
    with pytest.raises(UserError, match=r"^class 'generator-2' has no training image; add images, or take the class"):
        check_training(images.take(images.labels != 2))
