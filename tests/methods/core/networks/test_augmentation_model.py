"""Augmentation models: the published layers, and a list of frozen ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from methods.core.networks.augmentation_model import AugmentationModel, AugmentationModels
from tests.methods.data import CPU
from tests.methods.states import differences, duplicate


def test_an_augmentation_model_has_the_published_layers() -> None:
    model = AugmentationModel()
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert shapes == {
        "conv1.weight": (32, 3, 3, 3), "conv1.bias": (32,), "conv2.weight": (3, 32, 3, 3), "conv2.bias": (3,)
    }  # fmt: skip
    assert sum(weight.numel() for weight in model.parameters()) == 1_763


def test_an_augmentation_model_is_a_linear_filter_of_five_by_five_pixels_and_a_bias() -> None:
    model = AugmentationModel().double()
    a, b = torch.randn(2, 1, 3, 16, 16, dtype=torch.float64)
    nothing = model(torch.zeros_like(a))
    torch.testing.assert_close(model(2 * a - 3 * b) - nothing, 2 * (model(a) - nothing) - 3 * (model(b) - nothing))
    point = torch.zeros_like(a)
    point[..., 8, 8] = 1
    touched = ((model(point) - nothing).abs() > 1e-12).any(dim=1)[0].nonzero()
    assert (touched.amin(dim=0).tolist(), touched.amax(dim=0).tolist()) == ([6, 6], [10, 10])


@pytest.mark.parametrize(
    ("layers", "kernel", "hidden", "activation"), [(1, 5, 4, "none"), (3, 1, 4, "relu"), (2, 3, 2, "tanh")]
)
def test_other_shapes_keep_the_size_of_the_image(layers: int, kernel: int, hidden: int, activation: Any) -> None:
    model = AugmentationModel(layers, kernel, hidden, activation)
    assert model(torch.rand(2, 3, 16, 16)).shape == (2, 3, 16, 16)
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == layers


def test_a_finished_model_is_frozen_and_comes_back_with_its_shape() -> None:
    shape: dict[str, Any] = {"layers": 3, "kernel": 1, "hidden": 4, "activation": "tanh"}
    models, others = AugmentationModels(CPU), AugmentationModels(CPU)
    for _ in range(2):
        models.append(AugmentationModel(**shape), shape)
    others.load_state_dict(duplicate(models.state_dict()))
    assert (len(models), len(others)) == (2, 2)
    assert differences(models.state_dict(), others.state_dict()) == []
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(models[1](images), others[1](images))
    assert not any(weight.requires_grad for weight in [*models[0].parameters(), *others[0].parameters()])
