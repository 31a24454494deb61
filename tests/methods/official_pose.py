"""The training of the official POSE code, restated forward by forward and pair by pair.

Sources: train/trainer_progressive.py, loss/loss.py and loss/Softmax.py of ICTMCG/POSE. Slow, and
written without looking for anything to share.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.seeds import seed_of
from methods.core.device import seed_everything
from methods.core.networks.augmentation_model import AugmentationModel
from methods.core.networks.simple_cnn import SimpleCnn
from tests.methods.data import make_run
from tests.methods.states import duplicate

CLASSES = 3
# What the restatement does, as settings: the first epoch in training mode, the others frozen.
OFFICIAL: dict[str, Any] = {
    "width": 2, "epochs": 3, "steps_per_epoch": 3, "batch_size": 2, "freeze_after_steps": 3, "decay_steps": 2,
    "first_epoch_forwards": "official", "recalibrate_before_freeze": False, "snapshots": (1, 3),
    "close_weight": 0.5, "push_weight": 0.3,
}  # fmt: skip


def cosine_by_hand(a: Tensor, b: Tensor) -> Tensor:
    """Mean over the batch of the cosine of rows."""
    rows = [(x * y).sum() / (x.norm() * y.norm()).clamp_min(1e-6) for x, y in zip(a, b, strict=True)]
    return torch.stack(rows).mean()


def triplet_by_hand(known: Tensor, augmented: Tensor, labels: Tensor) -> Tensor:
    """Batch-hard triplet of margin 0.3; an augmented image of class c has label K + c."""
    points = [*known, *augmented]
    marks = [*labels.tolist(), *(labels + CLASSES).tolist()]
    losses = []
    for i, anchor in enumerate(points):
        distances = [((anchor - other).square().sum() + 1e-30).sqrt() for other in points]
        far = max(d for j, d in enumerate(distances) if marks[j] == marks[i])
        near = min(d for j, d in enumerate(distances) if marks[j] != marks[i])
        losses.append((far - near + 0.3).clamp_min(0))
    return torch.stack(losses).mean()


def double_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    return F.nll_loss((logits.softmax(dim=1) / 0.1).log_softmax(dim=1), labels)


def grad(net: nn.Module, wanted: bool) -> None:
    for weight in net.parameters():
        weight.requires_grad = wanted


def descent(net: nn.Module) -> torch.optim.Optimizer:
    """Plain descent for the classifier: Adam would blow up the rounding of gradients that are zero."""
    return torch.optim.SGD(net.parameters(), lr=0.02)


class Official:
    """The official trainer, forward by forward, with the seeds of `Pose`."""

    def __init__(self, train: Any) -> None:
        self.run = make_run()
        with self.run.seeded("weights"):
            self.net = SimpleCnn(CLASSES, 32, width=2)
        self.batches = self.run.batches(train, size=2, steps=3)
        self.optim, self.old = descent(self.net), list[AugmentationModel]()
        self.snapshots: dict[str, dict[str, Tensor]] = {}
        self.terms: list[dict[str, float]] = []

    def fit(self) -> Official:
        for epoch in range(3):
            seed_everything(seed_of(0, "fit", epoch))
            self.net.train(epoch == 0)
            self.epoch(epoch)
            self.snapshots[f"epoch{epoch + 1}"] = duplicate(self.net.state_dict())
        return self

    def epoch(self, epoch: int) -> None:
        with self.run.seeded("augmentation model", epoch):
            new = AugmentationModel()
        optim, self.draw = torch.optim.Adam(new.parameters(), lr=1e-2), self.run.numpy_generator("old model", epoch)
        for step, batch in enumerate(self.batches.epoch(epoch)):
            optim.param_groups[0]["lr"] = 1e-2 * 0.9 ** (step // 2)
            self.optim.param_groups[0]["lr"] = 0.02 * 0.9 ** ((3 * epoch + step) // 2)
            self.terms.append({})
            self.step(optim, self.augmentation_loss(new, batch.images))
            self.step(self.optim, self.task_loss(new, batch.images, batch.labels))
        grad(new, False)
        self.old.append(new)

    def augmentation_loss(self, new: AugmentationModel, x: Tensor) -> Tensor:
        """Step 1: gradients to the new augmentation model only."""
        grad(self.net, False)
        grad(new, True)
        augmented = new(x)
        loss = self.note("reconstruction", (augmented - x).square().mean())
        feature_new = self.net(augmented)[1]
        feature = self.net(x)[1].detach()
        if self.old:
            feature_old = self.net(self.drawn()(x))[1].detach()
            near = (1 - cosine_by_hand(feature, feature_new)).clamp_min(1 - 0.95)
            loss = loss + self.note("close", 0.5 * near)
            loss = loss + self.note("push", 0.3 * cosine_by_hand(feature_new, feature_old))
        return loss

    def task_loss(self, new: AugmentationModel, x: Tensor, labels: Tensor) -> Tensor:
        """Step 2: gradients to the classifier only; every forward anew, with the updated model."""
        grad(self.net, True)
        grad(new, False)
        logits, feature = self.net(x)
        loss = self.note("cls", double_softmax(logits, labels))
        loss = loss + self.note("metric_new", triplet_by_hand(feature, self.net(new(x))[1], labels))
        if self.old:
            loss = loss + self.note("metric_old", triplet_by_hand(feature, self.net(self.drawn()(x))[1], labels))
        return loss

    def drawn(self) -> AugmentationModel:
        return self.old[int(self.draw.integers(len(self.old)))]

    def note(self, name: str, term: Tensor) -> Tensor:
        self.terms[-1][name] = term.item()
        return term

    @staticmethod
    def step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
