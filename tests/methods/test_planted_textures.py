"""Open-set methods on textures whose truth is planted: unknown ones must earn less confidence than known ones.

A texture is white noise that a first-order autoregressive filter has run over, down the columns with one
coefficient and along the rows with another; the pair of coefficients is the class. Every image has the
same mean and contrast, so nothing but the correlation of neighbouring pixels tells the classes apart.

All open-set methods see the same images with the settings of their smoke preset, only trained a little
longer, whatever they are. No method is named here.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter
from sklearn.metrics import roc_auc_score

from datasets.types import ImageSet
from methods.core.method import Floats, Plugin, Prediction
from tests.methods.data import Fitted, fit, image_set, registry

SEEDS = (0, 1, 2)  # of images and of runs
PRESET = "smoke"
LONGER = {"epochs": 2, "steps_per_epoch": 40, "batch_size": 4}  # for every method that has the setting

SIZE, BURN_IN = 32, 32  # pixels; after the burn-in nothing is left of the filter's start
MEAN, CONTRAST = 128.0, 32.0  # grey levels
TRAIN, VAL, TEST = 32, 16, 24  # images per class

# Coefficients (down, along). Known classes are the corners of a square.
LOW, HALF, HIGH = 0.0, 0.4, 0.8
BELOW, ABOVE = -0.4, 0.95
KNOWN = ((LOW, LOW), (LOW, HIGH), (HIGH, LOW), (HIGH, HIGH))
# Halfway between two known classes, or between all four.
BETWEEN = ((HALF, LOW), (LOW, HALF), (HALF, HIGH), (HIGH, HALF), (HALF, HALF))
# Outside the known range: beside an edge of the square, and beyond a corner. Beyond a corner, away from every
# other class, a linear head is surer than ever: no method has to doubt these, but all are judged with them.
OUTSIDE = ((BELOW, HALF), (HALF, BELOW), (ABOVE, HALF), (HALF, ABOVE), (BELOW, BELOW), (ABOVE, ABOVE))


def autoregressive(pairs: tuple[tuple[float, float], ...], per_class: int, *seed: int) -> ImageSet:
    """Images of SIZE pixels, one class a pair of coefficients, class by class."""
    rng = np.random.default_rng(seed)
    pixels = [texture(down, along, rng) for down, along in pairs for _ in range(per_class)]
    return image_set(np.stack(pixels), np.repeat(np.arange(len(pairs)), per_class), len(pairs))


def texture(down: float, along: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(SIZE, SIZE, 3), each channel a field of its own: x[i] = coefficient x[i - 1] + noise on both axes."""
    side = SIZE + BURN_IN
    field = rng.standard_normal((side, side, 3))
    for axis, coefficient in enumerate((down, along)):
        field = lfilter([1.0], [1.0, -coefficient], field, axis=axis)
    field = field[BURN_IN:, BURN_IN:]
    field = (field - field.mean(axis=(0, 1))) / field.std(axis=(0, 1))
    return np.clip(np.rint(MEAN + CONTRAST * field), 0, 255).astype(np.uint8)


# -- who is tested ------------------------------------------------------------------------------------


def is_open_set(plugin: type[Plugin]) -> bool:
    return plugin.kind == "osr" or "open-set" in plugin.tables


def open_set_rows() -> list[str]:
    """The rows of a comparison of all methods that the open-set table shows."""
    return [key for key in registry().rows if is_open_set(registry().choose(key).plugin)]


def needs(key: str) -> tuple[str, ...]:
    choice = registry().choose(key)
    return choice.plugin.needs(choice.config(PRESET))


class Planted:
    """The images of one seed, and the methods fitted on them; a required one is fitted once for all."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.known: Fitted = {}
        self.train, self.val = autoregressive(KNOWN, TRAIN, seed, 0), autoregressive(KNOWN, VAL, seed, 1)
        self.test = autoregressive(KNOWN, TEST, seed, 2)
        self.between, self.outside = autoregressive(BETWEEN, TEST, seed, 3), autoregressive(OUTSIDE, TEST, seed, 4)

    def fitted(self, key: str) -> Any:
        if key not in self.known:
            for needed in needs(key):
                self.fitted(needed)  # its own training is the longer one too
            fields = registry().choose(key).plugin.Config.model_fields
            longer = {name: value for name, value in LONGER.items() if name in fields}
            self.known[key] = fit(
                key, self.train, self.val, preset=PRESET, overrides=longer, seed=self.seed, known=self.known
            )
        return self.known[key]


class Judged:
    """What one method says about the images of one seed."""

    def __init__(self, planted: Planted, key: str) -> None:
        self.method, self.planted = planted.fitted(key), planted

    @cached_property
    def test(self) -> Prediction:
        prediction: Prediction = self.method.predict(self.planted.test)
        return prediction

    def auc(self, *unknown: ImageSet) -> float:
        """How often a known image earns more confidence than an unknown one; a tie counts half."""
        doubted: list[Floats] = [self.method.predict(images).confidence for images in unknown]
        confidence = np.concatenate([self.test.confidence, *doubted])
        return float(roc_auc_score(np.arange(len(confidence)) < len(self.planted.test), confidence))


@pytest.fixture(scope="module", params=[pytest.param(s, marks=pytest.mark.xdist_group(f"planted{s}")) for s in SEEDS])
def planted(request: pytest.FixtureRequest) -> Planted:
    return Planted(request.param)


@pytest.fixture(scope="module", params=open_set_rows())
def judged(planted: Planted, request: pytest.FixtureRequest) -> Judged:
    return Judged(planted, request.param)


# -- the planted set ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [*KNOWN, *BETWEEN, *OUTSIDE])
def test_neighbouring_pixels_of_a_texture_correlate_by_its_coefficients(pair: tuple[float, float]) -> None:
    images = autoregressive((pair,), 100, 0).batch(slice(None)).astype(float) - MEAN
    down = (images[:, 1:] * images[:, :-1]).mean() / (images**2).mean()
    along = (images[:, :, 1:] * images[:, :, :-1]).mean() / (images**2).mean()
    assert (down, along) == pytest.approx(pair, abs=0.06)  # 32 pixels and their own mean leave a small bias


def test_neither_brightness_nor_contrast_tells_the_textures_apart() -> None:
    images = autoregressive((*KNOWN, *BETWEEN, *OUTSIDE), 8, 0).batch(slice(None)).astype(float)
    assert np.abs(images.mean(axis=(1, 2)) - MEAN).max() < 0.5
    assert np.abs(images.std(axis=(1, 2)) - CONTRAST).max() < 0.5


def test_images_of_another_seed_or_part_are_others() -> None:
    draws = [autoregressive(KNOWN, 1, *seed).batch(slice(None)) for seed in ((0, 0), (0, 1), (1, 0))]
    assert not any((one == other).all() for one, other in zip(draws, draws[1:] + draws[:1], strict=True))


def test_every_open_set_method_is_judged() -> None:
    assert {name for name, plugin in registry().items() if plugin.kind == "osr"} <= set(open_set_rows())
    assert open_set_rows()


# -- the methods --------------------------------------------------------------------------------------


def test_known_textures_are_named(judged: Judged) -> None:
    named = judged.test.scores.argmax(axis=1) == judged.planted.test.labels
    assert named.mean() >= 0.8  # by chance 0.25


def test_unknown_textures_between_and_outside_the_known_ones_earn_less_confidence(judged: Judged) -> None:
    assert judged.auc(judged.planted.between, judged.planted.outside) > 0.7


def test_textures_halfway_between_known_ones_alone_earn_less_confidence(judged: Judged) -> None:
    assert judged.auc(judged.planted.between) > 0.7
