"""Pieces of training that several methods share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from datasets.errors import UserError
from methods.core.state import Tree

Keep = Literal["last", "best"]


@dataclass(frozen=True)
class TrainingPlan:
    """What the shared loop has to know of a training.

    Attributes:
        epochs: each ends with a look at the validation set.
        batch_size: in the unit of the method's sampler.
        steps_per_epoch: batches per epoch and pass; None: one pass over the training set.
        learning_rate: at the start.
        decay_factor, decay_steps: the learning rate is multiplied by the one after so many steps, again and again.
        passes: how often an epoch goes through its steps.
        keep: which epoch's weights; "best" by the score on the validation set, ties to the later.
        patience: stop after so many epochs without gain; None: never.
    """

    epochs: int
    batch_size: int
    steps_per_epoch: int | None
    learning_rate: float
    decay_factor: float = 1.0
    decay_steps: int = 1
    passes: int = 1
    keep: Keep = "last"
    patience: int | None = None


class Keeper:
    """Remembers the best epoch's weights and how long ago that was."""

    def __init__(self) -> None:
        self.best, self.since, self.weights = -np.inf, 0, cast("dict[str, Tensor] | None", None)

    def offer(self, score: float, network: nn.Module) -> None:
        if score >= self.best:
            self.best, self.since = score, 0
            self.weights = {key: value.detach().clone() for key, value in network.state_dict().items()}
        else:
            self.since += 1

    def state_dict(self) -> Tree:
        return {"best": float(self.best), "since": self.since, "weights": self.weights}

    def load_state_dict(self, state: Tree) -> None:
        self.best, self.since, self.weights = state["best"], state["since"], state["weights"]


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No weight of the network collects a gradient inside; gradients still flow through it."""
    wanted = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside; every module's own mode comes back afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training


def step_decay(optimiser: torch.optim.Optimizer, factor: float, every: int) -> torch.optim.lr_scheduler.StepLR:
    """Multiply the learning rate by `factor` every so many steps."""
    return torch.optim.lr_scheduler.StepLR(optimiser, step_size=every, gamma=factor)


def descend(
    loss: Tensor, optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler | None = None
) -> None:
    """One step downhill."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    if schedule is not None:
        schedule.step()


def recalibrate_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace running statistics by their plain average over clean batches; weights stay as they are."""
    layers = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    kept = [(layer.momentum, layer.training) for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # cumulative average
        layer.train()
    with torch.no_grad():
        for images in batches:
            network(images)
    for layer, (momentum, training) in zip(layers, kept, strict=True):
        layer.momentum, layer.training = momentum, training


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Put weights into a network of the same names and shapes.

    Args:
        where: what holds them, for the message.

    Raises:
        UserError: the first difference between the weights and the network.
    """
    difference = first_difference(weights, network.state_dict())
    if difference is not None:
        raise UserError(f"{where} is of another network: {difference}; make it again")
    network.load_state_dict(weights)


def first_difference(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str | None:
    """In which name or shape weights differ from those that a network expects; None if in none."""
    for name, value in expected.items():
        if name not in weights:
            return f"it has no '{name}'"
        if weights[name].shape != value.shape:
            return f"its '{name}' is {_size(weights[name])}, here it is {_size(value)}"
    strange = [name for name in weights if name not in expected]
    return f"it has '{strange[0]}', which is unknown here" if strange else None


def _size(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "a single number"


def parameter_count(*networks: nn.Module) -> int:
    return sum(parameter.numel() for network in networks for parameter in network.parameters())
