"""A network, a loss, and the plain loop that most methods share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from datasets.types import ImageSet
from methods.core.batches import Batch, Batches, Sampler, Transform, normalise
from methods.core.method import Floats, Method, Prediction, Task
from methods.core.settings import Settings
from methods.core.state import Tree
from methods.core.training import (
    Keep,
    Keeper,
    TrainingPlan,
    descend,
    evaluating,
    load_weights,
    parameter_count,
    step_decay,
)

LEAST = 1e-300  # keeps the order of the known classes where their common share underflows


class NetworkConfig(Settings):
    """Settings of the plain loop; defaults are those of the POSE code's Base."""

    FORMER: ClassVar[Mapping[str, str | None]] = {
        "items_per_batch": "batch_size",
        "rounds": "epochs",
        "steps_per_round": "steps_per_epoch",
    }

    learning_rate: float = Field(default=1e-4, gt=0)
    batch_size: int = Field(default=8, ge=1)  # images per class and batch
    epochs: int = Field(default=20, ge=1)  # an epoch ends with a look at the validation set
    steps_per_epoch: int | None = Field(default=None, ge=1)  # batches; None: one pass over the training set
    decay_factor: float = Field(default=0.9, gt=0, le=1)
    decay_steps: int = Field(default=500, ge=1)  # steps between two decays of the learning rate
    keep: Keep = "last"  # which epoch's weights; "best" by validation accuracy, ties to the later
    patience: int | None = Field(default=None, ge=1)  # stop after so many epochs without gain


class NetworkMethod(Method):
    """A classifier trained with one optimiser.

    A subclass gives `build`, `loss` and `outputs`; it may change `plan`, `optimiser`, `schedule`,
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

    @property
    def plan(self) -> TrainingPlan:
        """How the loop trains: as the settings of a `NetworkConfig` say, unless a method says otherwise."""
        config = self.config
        return TrainingPlan(
            epochs=config.epochs, batch_size=config.batch_size, steps_per_epoch=config.steps_per_epoch,
            learning_rate=config.learning_rate, decay_factor=config.decay_factor, decay_steps=config.decay_steps,
            keep=config.keep, patience=config.patience,
        )  # fmt: skip

    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.net.parameters(), lr=self.plan.learning_rate)

    def schedule(self, optimiser: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler | None:
        """How the learning rate falls, step by step; None: not at all."""
        return step_decay(optimiser, self.plan.decay_factor, self.plan.decay_steps)

    def batches(self, train: ImageSet) -> Batches:
        """The sampler of the training; the method's settings say what its batch size counts."""
        return self.planned_batches(train)

    def train_step(self, batch: Batch) -> None:
        """One optimiser step."""
        terms = self.loss(batch)
        self.run.log(**terms)
        descend(torch.stack([*terms.values()]).sum(), self.optim, self.sched)

    def score(self, val: ImageSet) -> float:
        """How good an epoch was, higher = better, and a note of it; the accuracy on the validation set."""
        accuracy = self.accuracy(val)
        self.run.record(val_accuracy=accuracy)
        return accuracy

    # -- the loop ------------------------------------------------------------------------------------

    def planned_batches(
        self,
        train: ImageSet,
        sampler: Sampler = "balanced",
        *,
        drop_last: bool = False,
        transform: Transform = normalise,
        name: str = "batches",
    ) -> Batches:
        """Batches with size, steps and passes of the plan; see `Run.batches` for the rest."""
        plan = self.plan
        return self.run.batches(
            train, sampler, size=plan.batch_size, steps=plan.steps_per_epoch, passes=plan.passes, drop_last=drop_last,
            transform=transform, name=name,
        )  # fmt: skip

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        self.prepare_fit(train)
        plan, batches, keeper = self.plan, self.batches(train), Keeper()
        self.run.track(**self.tracked(), keeper=keeper)
        for epoch in self.run.epochs(plan.epochs, len(batches)):
            if plan.patience is not None and keeper.since >= plan.patience:
                break
            self.train_epoch(epoch, batches)
            score = self.score(val)
            if plan.keep == "best" or plan.patience is not None:
                keeper.offer(score, self.net)
        if plan.keep == "best" and keeper.weights is not None:
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

    def train_epoch(self, epoch: int, batches: Batches) -> None:
        self.net.train()
        for batch in batches.epoch(epoch):
            self.train_step(batch)

    # -- inference -----------------------------------------------------------------------------------

    def infer(self, images: ImageSet) -> tuple[Floats, NDArray[np.float32]]:
        """Logits (N, K) in float64 and features (N, D) in float32, in evaluation mode.

        Raises:
            NotFitted: there is no network yet.
        """
        self.require("net")
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
        load_weights(self.net, state.get("net", {}), f"the stored state of {type(self).__name__}")
        self.net.eval()

    def trainable(self) -> int:
        return parameter_count(self.net)


def softmax(logits: Floats) -> Floats:
    """Row-wise softmax in float64, where a lead of up to 36 still leaves the maximum below 1."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return cast(Floats, shifted / shifted.sum(axis=1, keepdims=True))


def open_softmax(logits: Floats, unknown: Floats) -> tuple[Floats, Floats]:
    """Probabilities of K known classes beside a class "unknown".

    Args:
        logits: (N, K) of the known classes, float64.
        unknown: (N,) of "unknown".

    Returns:
        (N, K) the entries of the known classes, as P(known) x P(class | known), so that an image that is surely
        unknown still has a best class; and (N,) P(known), precise where it is small.
    """
    from scipy.special import expit, logsumexp

    known = expit(logsumexp(logits, axis=1) - unknown)
    return cast(Floats, softmax(logits) * np.maximum(known, LEAST)[:, None]), known
