"""Every learned attribution method finds what up-sampling leaves behind, in textures that are otherwise the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from datasets.types import ImageSet, Pixels
from tests.methods.data import accuracy, fit, image_set, learned

SIZE = 32
TRACES = (None, Image.Resampling.NEAREST, Image.Resampling.BILINEAR)  # how a class doubles its side; None: not at all
TRAIN, VAL, TEST = 96, 32, 64  # images per class
LONGER = 3  # times the epochs of a preset with short ones, which is made for stronger traces
# What is known to learn such traces within seconds, where the preset is too narrow or too hasty for it.
SETTINGS: dict[str, dict[str, Any]] = {"dna_det": {"width": 16, "patches": 4, "learning_rate": 1e-3}}


def upsampled(per_class: int, seed: int) -> ImageSet:
    """Random textures as they are, and reduced to half the side and doubled again in two ways.

    All classes show the same textures, so that content says nothing about the class.
    """
    white = np.random.default_rng(seed).standard_normal((per_class, SIZE, SIZE, 3))
    smooth = gaussian_filter(white, (0, 1, 1, 0), mode="wrap")
    textures = to_bytes(128 + 40 * smooth / smooth.std())
    halves = to_bytes(textures.reshape(per_class, SIZE // 2, 2, SIZE // 2, 2, 3).mean(axis=(2, 4)))
    classes = [textures if how is None else np.stack([doubled(half, how) for half in halves]) for how in TRACES]
    return image_set(np.concatenate(classes), np.repeat(np.arange(len(TRACES)), per_class), len(TRACES))


def to_bytes(values: Any) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def doubled(half: Pixels, how: Image.Resampling) -> Pixels:
    return np.asarray(Image.fromarray(half).resize((SIZE, SIZE), how))


@pytest.mark.parametrize("name", [name for name, plugin in learned().items() if plugin.kind == "attribution"])
def test_an_up_sampling_trace_is_found_in_new_images(name: str) -> None:
    plugin = learned()[name]
    longer = LONGER if "steps_per_epoch" in plugin.Config.model_fields else 1
    settings = {"epochs": longer * plugin.PRESETS["smoke"]["epochs"], **SETTINGS.get(name, {})}
    if "corrupt_probability" in plugin.Config.model_fields:
        settings["corrupt_probability"] = 0.0  # corruptions are there to hide such traces
    method = fit(name, upsampled(TRAIN, seed=0), upsampled(VAL, seed=1), overrides=settings)
    assert accuracy(method, upsampled(TEST, seed=2)) >= 0.95
