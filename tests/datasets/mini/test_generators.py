"""The decoders: their size, their traits, their carried weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from datasets.mini.carried import WEIGHTS, GeneratorName, weight_file
from datasets.mini.generators import FAMILIES, IMITATES, NOISE_VALUES, FixedFilter, build, windowed_sinc_taps
from datasets.mini.sampling import generated_images
from datasets.mini.train import (
    STEPS,
    load_generator,
    reconstruction_loss,
    stored_weights,
    train_generator,
)
from datasets.splits import load_plan


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_decodes_codes_into_images_with_about_fifty_thousand_weights(family: str) -> None:
    decoder = build(family)
    noise = torch.randn(2, NOISE_VALUES) if decoder.noisy else None
    assert decoder(torch.randn(2, 27, 8, 8), noise).shape == (2, 3, 64, 64)
    assert 45_000 <= sum(parameter.numel() for parameter in decoder.parameters()) <= 60_000
    assert IMITATES[family]


def test_a_fixed_filter_keeps_a_constant_and_doubles_the_side() -> None:
    constant = torch.full((1, 2, 16, 16), 3.0)
    assert torch.allclose(FixedFilter([1.0, 2.0, 1.0])(constant), constant)
    enlarged = FixedFilter(windowed_sinc_taps(), up=2)(constant)
    assert enlarged.shape == (1, 2, 32, 32)
    # Away from the zero-padded border a low-pass filter leaves a constant as it is.
    assert torch.allclose(enlarged[..., 8:-8, 8:-8], torch.tensor(3.0), atol=0.05)


def test_the_loss_is_pixels_plus_half_of_the_neighbour_differences() -> None:
    output, target = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0, 3.0], [1.0, 1.0]]]])
    # |error| mean 6/4; down: |1-1|, |1-3| -> 1; right: |3-1|, |1-1| -> 1
    assert float(reconstruction_loss(output, target)) == pytest.approx(1.5 + 0.5 * 2.0)


@pytest.mark.parametrize("name", load_plan("mini").generators)
def test_every_generator_of_the_plan_has_weights_of_its_family(name: str) -> None:
    decoder = load_generator(name)
    assert set(load_file(weight_file(name))) == set(stored_weights(decoder))
    assert not decoder.training


def test_no_weight_file_lies_about_without_a_class() -> None:
    assert {path.stem for path in WEIGHTS.glob("*.safetensors")} == set(load_plan("mini").generators)


def test_training_is_deterministic_and_learns() -> None:
    name = "flower-pixelshuffle-s0"
    first, second = stored_weights(train_generator(name, 5)), stored_weights(train_generator(name, 5))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert STEPS == 200


def test_a_carried_generator_reconstructs_its_content() -> None:
    name = "flower-transposed4-s0" if "flower-transposed4-s0" in load_plan("mini").generators else "flower-attention-s0"
    from datasets.mini.crops import cut, draw_boxes

    real = cut("flower", draw_boxes("flower", "test", "code", 20))
    fake = generated_images(name, {"test": 20})["test"]
    error = np.abs(real.astype(float) - fake).mean()
    shuffled = np.abs(real[::-1].astype(float) - fake).mean()
    assert error < 12 and error < shuffled


def test_a_longer_list_of_images_starts_with_the_shorter_one() -> None:
    name = "chelsea-blur_noise-s0"  # a family that draws noise
    short, long = (generated_images(name, {"test": count})["test"] for count in (3, 60))
    # Batches of another size may round differently by one grey level.
    assert np.abs(short.astype(int) - long[:3]).max() <= 1


def test_seeds_of_one_family_differ_and_names_are_read() -> None:
    assert GeneratorName.parse("flower-nearest_pixelnorm-s3") == ("flower", "nearest_pixelnorm", 3)
    a, b = (generated_images(f"flower-nearest_pixelnorm-s{seed}", {"test": 4})["test"] for seed in (0, 1))
    assert np.abs(a.astype(int) - b).mean() > 0.5


def test_pixel_shuffle_and_transposed_stages_double_the_side() -> None:
    for family in ("pixelshuffle", "transposed4", "transposed5"):
        stage = build(family).stages[0]
        width = build(family).stem.out_channels
        assert F.interpolate(torch.zeros(1, 1, 8, 8), scale_factor=2).shape[-1] == 16
        assert stage(torch.randn(2, width, 8, 8)).shape[-1] == 16
