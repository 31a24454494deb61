"""A network, a loss, and the plain loop that most methods share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from datasets.types import ImageSet
from methods.core.batches import Batch, Batches, normalise
from methods.core.method import Floats, Method, Prediction, Task
from methods.core.settings import Settings
from methods.core.state import Tree
from methods.core.training import descend, evaluating, parameter_count, step_decay


class NetworkConfig(Settings):
    """Settings of the plain loop; defaults are those of the POSE code's Base."""

    learning_rate: float = Field(default=1e-4, gt=0)
    items_per_batch: int = Field(default=8, ge=1)  # images of every class in a batch
    rounds: int = Field(default=20, ge=1)  # a round ends with a look at the validation set
    steps_per_round: int | None = Field(default=None, ge=1)  # None: one pass over the training set
    decay_factor: float = Field(default=0.9, gt=0, le=1)
    decay_steps: int = Field(default=500, ge=1)  # steps between two decays of the learning rate
    keep: Literal["last", "best"] = "last"  # which round's weights; "best" by validation accuracy, ties to the later
    patience: int | None = Field(default=None, ge=1)  # stop after so many rounds without gain


class Keeper:
    """Remembers the best round's weights and how long ago that was."""

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


class NetworkMethod(Method):
    """A classifier trained with one optimiser.

    A subclass gives `build`, `loss` and `outputs`; it may change `optimiser`, `schedule`,
    `train_step`, `score`, `confidence` or `batches`.
    """

    Config: ClassVar[type[Settings]] = NetworkConfig
    net: nn.Module

    # -- what a subclass says ------------------------------------------------------------------------

    @abstractmethod
    def build(self) -> nn.Module:
        """A fresh network for `self.task`."""

    @abstractmethod
    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Loss terms of one batch; the loop adds, logs and steps them."""

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and features (B, D) of prepared images: what the network returns, unless a method says more."""
        logits, features = self.net(images)
        return logits, features

    def prepare(self, pixels: Tensor) -> Tensor:
        """Bytes (B, 3, H, W) to what `outputs` takes, at test time."""
        return normalise(pixels)

    def confidence(self, logits: Floats) -> Floats:
        """(N,) higher = more known; the largest softmax probability unless a method says otherwise."""
        return cast(Floats, softmax(logits).max(axis=1))

    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.net.parameters(), lr=self.config.learning_rate)

    def schedule(self, optimiser: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler | None:
        return step_decay(optimiser, self.config.decay_factor, self.config.decay_steps)

    def batches(self, train: ImageSet) -> Batches:
        return self.run.batches(train, size=self.config.items_per_batch, steps=self.config.steps_per_round)

    def train_step(self, batch: Batch) -> None:
        """One optimiser step."""
        terms = self.loss(batch)
        self.run.log(**terms)
        descend(torch.stack([*terms.values()]).sum(), self.optim, self.sched)

    def score(self, val: ImageSet) -> float:
        """How good a round was, higher = better, and a note of it; the accuracy on the validation set."""
        accuracy = self.accuracy(val)
        self.run.record(val_accuracy=accuracy)
        return accuracy

    # -- the loop ------------------------------------------------------------------------------------

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        self.prepare_fit(train)
        batches, keeper = self.batches(train), Keeper()
        self.run.track(**self.tracked(), keeper=keeper)
        for round_ in self.run.epochs(self.config.rounds, len(batches)):
            if self.config.patience is not None and keeper.since >= self.config.patience:
                break
            self.train_round(round_, batches)
            score = self.score(val)
            if self.config.keep == "best" or self.config.patience is not None:
                keeper.offer(score, self.net)
        if self.config.keep == "best" and keeper.weights is not None:
            self.net.load_state_dict(keeper.weights)
        self.net.eval()

    def prepare_fit(self, train: ImageSet) -> None:
        """Build network, optimiser and schedule."""
        self.task = Task.of(train)
        with self.run.seeded("weights"):
            self.net = self.build().to(self.run.device)
        self.optim = self.optimiser()
        self.sched = self.schedule(self.optim)

    def tracked(self) -> dict[str, Any]:
        """What a resumed run needs."""
        parts = {"net": self.net, "optim": self.optim, "sched": self.sched}
        return {name: part for name, part in parts.items() if part is not None}

    def train_round(self, round_: int, batches: Batches) -> None:
        self.net.train()
        for batch in batches.epoch(round_):
            self.train_step(batch)

    # -- inference -----------------------------------------------------------------------------------

    def infer(self, images: ImageSet) -> tuple[Floats, NDArray[np.float32]]:
        """Logits (N, K) in float64 and features (N, D) in float32, in evaluation mode."""
        logits, features = [], []
        with evaluating(self.net):
            for pixels in self.run.sweep(images):
                scores, feature = self.outputs(self.prepare(pixels))
                logits.append(scores.float().cpu().double().numpy())
                features.append(feature.float().cpu().numpy())
        return np.concatenate(logits), np.concatenate(features)

    def accuracy(self, images: ImageSet) -> float:
        """Share of images whose argmax is their label."""
        logits, _ = self.infer(images)
        return float((logits.argmax(axis=1) == images.labels).mean())

    def predict(self, images: ImageSet) -> Prediction:
        logits, features = self.infer(images)
        return Prediction(softmax(logits), self.confidence(logits), features)

    def state(self) -> Tree:
        return {"net": self.net.state_dict()}

    def restore(self, state: Tree) -> None:
        self.net = self.build().to(self.run.device)
        self.net.load_state_dict(state["net"])
        self.net.eval()

    def trainable(self) -> int:
        return parameter_count(self.net)


def softmax(logits: Floats) -> Floats:
    """Row-wise softmax in float64, where a lead of up to 36 still leaves the maximum below 1."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return cast(Floats, shifted / shifted.sum(axis=1, keepdims=True))
