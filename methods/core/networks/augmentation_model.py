"""Augmentation models: tiny image-to-image networks that simulate the traces of generators yet unseen."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from methods.core.state import Tree

Activation = Literal["none", "relu", "tanh"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {"none": nn.Identity, "relu": nn.ReLU, "tanh": nn.Tanh}


class AugmentationModel(nn.Module):
    """Convolutions 3 -> hidden -> ... -> 3 of one kernel size, without residual, clipping or scaling.

    With two layers and no activation this is the network of the official POSE code
    (models/augment_network.py): 1,763 weights, a linear 5 x 5 filter bank.
    """

    def __init__(self, layers: int = 2, kernel: int = 3, hidden: int = 32, activation: Activation = "none") -> None:
        super().__init__()
        channels = [3, *[hidden] * (layers - 1), 3]
        for position in range(layers):
            conv = nn.Conv2d(channels[position], channels[position + 1], kernel, padding=kernel // 2)
            self.add_module(f"conv{position + 1}", conv)
        self.layers = layers
        self.activation = _ACTIVATIONS[activation]()

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 3, H, W), about on the same scale."""
        x = self.get_submodule("conv1")(images)
        for position in range(2, self.layers + 1):
            x = self.get_submodule(f"conv{position}")(self.activation(x))
        output: Tensor = x
        return output


class AugmentationModels:
    """The growing list of finished augmentation models, frozen."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._models: list[AugmentationModel] = []
        self._shape: dict[str, int | str] = {}

    def __len__(self) -> int:
        return len(self._models)

    def __getitem__(self, position: int) -> AugmentationModel:
        return self._models[position]

    def append(self, model: AugmentationModel, shape: dict[str, int | str]) -> None:
        """Freeze a finished model; `shape` are the arguments it was built with."""
        self._models.append(model.requires_grad_(False).eval())
        self._shape = shape

    def state_dict(self) -> Tree:
        return {"shape": self._shape, "models": [model.state_dict() for model in self._models]}

    def load_state_dict(self, state: Tree) -> None:
        self._models = []
        for weights in state["models"]:
            model = AugmentationModel(**state["shape"]).to(self._device)
            model.load_state_dict(weights)
            self.append(model, state["shape"])
