"""PROSER: placeholders for what is unknown, learnt by fine-tuning a trained classifier.

Paper: Zhou, Ye, Zhan, "Learning Placeholders for Open-Set Recognition", CVPR 2021,
https://arxiv.org/abs/2103.15086.
Code read: zhoudw-zdw/CVPR21-Proser (proser_unknown_detection.py, models/wide_resnet_embedding.py).

A second head of C "dummy" outputs stands beside the K known ones; the largest dummy is the logit of
"unknown". On known images it must come second (classifier placeholder); on mixtures of the hidden
features of two classes it must come first (data placeholder). Half A of a batch is mixed, half B is
classified.

Kept: both placeholders, half batches, mixing at a stage's output by one weight per batch, all layers
trained at a constant rate far below that of the first training, mixed features in the batch
statistics, the last epoch's weights, confidence at temperature 1024.
From the paper rather than the code: the maximum over dummies in every term (the code's known and mixed
terms see all C, and its mixed target is the first of them), gamma 0.1 (code: 0.01), no pair of one class.
`official_code` takes the code's side; a mixed batch without a pair left costs nothing.
Changed: starts from the finished Base (code: after 60 of 200 epochs) with Adam at a tenth of Base's
rate, and at Base's rate for the new head, since Base is trained with Adam (code: SGD at a hundredth);
plain cross-entropy whatever Base's loss was; Beta(2, 2) and C = 5 as in later re-implementations; half
B passes the network once with both heads (code: twice, with two dropout masks), and mixed features pass once.
Checkpoint: last epoch. Confidence: best known minus "unknown" probability at temperature 1024, in
effect the logit margin; variants: that margin, and the largest of the K scores.
Cost: one forward and one backward pass per batch as in Base, 1.13 x Base's step (0.56 x with
`frozen_stages` 3; 64 px, width 16, batch 30, one thread), for half as many epochs, on top of Base.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from datasets.types import ImageSet
from methods.base import Base
from methods.core.batches import Batch, Batches
from methods.core.method import Floats, Prediction
from methods.core.network_method import NetworkConfig, NetworkMethod, open_softmax
from methods.core.networks.simple_cnn import SimpleCnn
from methods.core.registry import register
from methods.core.state import Tree


class ProserConfig(NetworkConfig):
    """Settings of the fine-tuning; in brackets the names of the official code."""

    base: Literal["base", "base@ce"] = "base"  # the classifier that is fine-tuned
    learning_rate: float = Field(default=1e-5, gt=0)  # a tenth of Base's, for all weights that Base has
    dummy_learning_rate: float = Field(default=1e-4, gt=0)  # Base's, for the new head
    decay_factor: float = Field(default=1.0, gt=0, le=1)  # constant
    epochs: int = Field(default=10, ge=1)  # [finetune epochs]
    dummies: int = Field(default=5, ge=1)  # [dummynumber]; C of the paper
    mix_after_stage: int = Field(default=3, ge=1, le=3)  # before the last stage, as in the code
    mix_alpha: float = Field(default=2.0, gt=0)  # [alpha], weight ~ Beta(alpha, alpha)
    distinct_classes: bool = True  # paper: mixed images have different labels; the code does not look
    known_weight: float = Field(default=1.0, ge=0)  # [lamda1]
    dummy_weight: float = Field(default=1.0, ge=0)  # [lamda2]; beta of the paper
    mix_weight: float = Field(default=0.1, ge=0)  # gamma of the paper; 0.01 in the code
    dummy_logits: Literal["max", "all"] = "max"  # what the known and the mixed term see; "all" in the code
    freeze_bn_on_mix: bool = False  # mixed features are normalised by running statistics and do not move them
    frozen_stages: int = Field(default=0, ge=0, le=4)  # leading stages left as Base has them, to save time
    temperature: float = Field(default=1024.0, gt=0)  # of the confidence
    rejected: float = Field(default=0.05, ge=0, lt=1)  # share of validation images beyond the calibrated bias


# Chosen by validation accuracy, which a tenth of Base's rates over more epochs does not raise.
QUICK: dict[str, Any] = {
    "learning_rate": 1e-4, "dummy_learning_rate": 2e-3, "batch_size": 2, "epochs": 5, "steps_per_epoch": 50,
}  # fmt: skip
OFFICIAL: dict[str, Any] = {
    "dummies": 1, "mix_weight": 0.01, "mix_alpha": 1.0, "distinct_classes": False, "dummy_logits": "all",
}  # fmt: skip


class Heads(NamedTuple):
    """Known logits (B, K), dummy logits (B, C) and the feature (B, D) that both are read from."""

    known: Tensor
    dummy: Tensor
    feature: Tensor


class ProserNet(nn.Module):
    """The shared network with a dummy head beside its own; both read the same dropped-out feature."""

    def __init__(self, base: SimpleCnn, dummies: int, frozen_stages: int = 0) -> None:
        super().__init__()
        self.base = base
        self.dummy_head = nn.Linear(base.num_features, dummies)
        self.frozen_stages = frozen_stages
        base.main[: 2 * frozen_stages].requires_grad_(False)

    def train(self, mode: bool = True) -> ProserNet:
        super().train(mode)
        self.base.main[: 2 * self.frozen_stages].eval()
        return self

    def forward(self, images: Tensor) -> Heads:
        """(B, 3, N, N) in [-1, 1]."""
        return self.upper(self.lower(images, 1), 1)

    def lower(self, images: Tensor, cut: int) -> Tensor:
        """The output of stage `cut`; phi_pre of the paper."""
        return self.base.stages(self.base.input(images), 0, cut)

    def upper(self, hidden: Tensor, cut: int) -> Heads:
        """From the output of stage `cut` to both heads; phi_post of the paper."""
        dropout, linear = self.base.classification_head
        feature = dropout(self.base.embed(self.base.stages(hidden, cut)))
        return Heads(linear(feature), self.dummy_head(feature), feature)


@register("proser")
class Proser(NetworkMethod):
    """Fine-tuned Base with dummy outputs."""

    kind = "osr"
    title = "Base+PROSER"
    paper = "Zhou, Ye and Zhan, CVPR 2021, https://arxiv.org/abs/2103.15086"
    Config = ProserConfig
    PRESETS = {
        "smoke": {**QUICK, "learning_rate": 2e-4, "epochs": 2, "steps_per_epoch": 15},
        "quick": QUICK,
        "standard": {**QUICK, "learning_rate": 2e-4, "epochs": 10, "steps_per_epoch": 200},
    }
    SEARCH = {"learning_rate": (1e-4, 2e-4, 4e-4)}
    VARIANTS = {
        "official_code": OFFICIAL,
        "ce": {"base": "base@ce"},
        "stage2": {"mix_after_stage": 2},
        "freeze_bn_on_mix": {"freeze_bn_on_mix": True},
    }

    config: ProserConfig
    net: ProserNet

    @classmethod
    def needs(cls, config: ProserConfig) -> tuple[str, ...]:
        return (config.base,)

    # -- training ------------------------------------------------------------------------------------

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        super().fit(train, val)
        self.bias = calibrated_bias(margins(self.infer(val)[0]), self.config.rejected)

    def prepare_fit(self, train: ImageSet) -> None:
        """Start from the fitted Base; only the dummy head is new."""
        fitted = self.run.fitted(self.config.base, Base)
        self.shape: dict[str, Any] = {"width": fitted.config.width, "input_data": fitted.config.input_data}
        super().prepare_fit(train)
        self.net.base.load_state_dict(fitted.net.state_dict())

    def build(self) -> nn.Module:
        base = SimpleCnn(self.task.num_classes, self.task.image_size, **self.shape)
        return ProserNet(base, self.config.dummies, self.config.frozen_stages)

    def optimiser(self) -> torch.optim.Optimizer:
        old = [parameter for parameter in self.net.base.parameters() if parameter.requires_grad]
        new = [*self.net.dummy_head.parameters()]
        groups: list[dict[str, Any]] = [{"params": old}, {"params": new, "lr": self.config.dummy_learning_rate}]
        return torch.optim.Adam(groups, lr=self.config.learning_rate)

    def train_epoch(self, epoch: int, batches: Batches) -> None:
        self.draw = self.run.numpy_generator("mixing", epoch)
        self.shares = Shares()
        super().train_epoch(epoch, batches)
        self.run.record(**self.shares.means())

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Known term and classifier placeholder on half B, data placeholder on mixtures of half A."""
        half = len(batch.labels) // 2
        pairs = self.pairs(batch.labels[:half])
        hidden = self.net.lower(batch.images[:half], self.config.mix_after_stage)
        seen = self.net(batch.images[half:])
        mixed = self.judge_mixtures(hidden, *pairs) if len(pairs[0]) else None
        self.shares.add("dummy_second_rate", dummy_is_second(open_logits(seen)))
        if mixed is not None:
            self.shares.add("mix_to_dummy_rate", open_logits(mixed).argmax(dim=1) == self.task.num_classes)
        return self.terms(seen, batch.labels[half:], mixed)

    def pairs(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (P,) and their partners (P,) from a random permutation."""
        partners = torch.from_numpy(self.draw.permutation(len(labels))).to(labels.device)
        rows = torch.arange(len(labels), device=labels.device)
        if not self.config.distinct_classes:
            return rows, partners
        keep = labels != labels[partners]
        return rows[keep], partners[keep]

    def judge_mixtures(self, hidden: Tensor, rows: Tensor, partners: Tensor) -> Heads:
        """Both heads on mixed hidden features."""
        weight = float(self.draw.beta(self.config.mix_alpha, self.config.mix_alpha))
        mixtures = mix(hidden[rows], hidden[partners], weight)
        if not self.config.freeze_bn_on_mix:
            return self.net.upper(mixtures, self.config.mix_after_stage)
        with running_statistics(self.net):
            return self.net.upper(mixtures, self.config.mix_after_stage)

    def terms(self, seen: Heads, labels: Tensor, mixed: Heads | None) -> dict[str, Tensor]:
        """Weighted loss terms from both heads on half B with its labels and on the mixtures, if any."""
        config = self.config
        visible = open_logits if config.dummy_logits == "max" else all_logits
        known = F.cross_entropy(visible(seen), labels)
        second = second_place_loss(open_logits(seen), labels)
        mix = known.new_zeros(()) if mixed is None else unknown_loss(visible(mixed), self.task.num_classes)
        weighted = config.known_weight * known, config.dummy_weight * second, config.mix_weight * mix
        return dict(zip(("known", "dummy", "mix"), weighted, strict=True))

    # -- inference -----------------------------------------------------------------------------------

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Known logits with that of "unknown" behind them, (B, K + 1), and features (B, D)."""
        heads = self.net(images)
        return open_logits(heads), heads.feature

    def accuracy(self, images: ImageSet) -> float:
        """Share of images whose best known class is their label."""
        logits, _ = self.infer(images)
        return float((logits[:, :-1].argmax(axis=1) == images.labels).mean())

    def predict(self, images: ImageSet) -> Prediction:
        logits, features = self.infer(images)
        scores, _ = open_softmax(logits[:, :-1], logits[:, -1])
        variants = {"margin": margins(logits), "max_softmax": scores.max(axis=1)}
        return Prediction(scores, self.confidence(logits), features, variants)

    def confidence(self, logits: Floats) -> Floats:
        return probability_gap(logits, self.config.temperature)

    def decide(self, images: ImageSet) -> NDArray[np.int64]:
        """(N,) the best known class, or K for "unknown", with the bias calibrated on validation images."""
        self.require("bias")
        logits, _ = self.infer(images)
        best = logits[:, :-1].argmax(axis=1)
        return np.where(margins(logits) < self.bias, self.task.num_classes, best)

    # -- keeping -------------------------------------------------------------------------------------

    def state(self) -> Tree:
        return {**super().state(), "shape": self.shape, "bias": self.bias}

    def restore(self, state: Tree) -> None:
        self.shape, self.bias = state["shape"], state["bias"]
        super().restore(state)


# -- losses ------------------------------------------------------------------------------------------


def open_logits(heads: Heads) -> Tensor:
    """(B, K + 1): the known logits, then the largest dummy logit."""
    return torch.cat([heads.known, heads.dummy.max(dim=1, keepdim=True).values], dim=1)


def all_logits(heads: Heads) -> Tensor:
    """(B, K + C): the known logits, then every dummy logit."""
    return torch.cat([heads.known, heads.dummy], dim=1)


def second_place_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of (B, K + 1) logits without the true class's against "unknown"."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return unknown_loss(others, logits.shape[1] - 1)


def unknown_loss(logits: Tensor, unknown: int) -> Tensor:
    """Cross-entropy of logits against class `unknown` in every row."""
    return F.cross_entropy(logits, torch.full((len(logits),), unknown, device=logits.device))


def mix(one: Tensor, other: Tensor, weight: float) -> Tensor:
    """weight x one + (1 - weight) x other."""
    return torch.lerp(other, one, weight)


def dummy_is_second(logits: Tensor) -> Tensor:
    """(B,) whether exactly one known logit of (B, K + 1) exceeds the last."""
    return (logits[:, :-1] > logits[:, -1:]).sum(dim=1) == 1


@contextmanager
def running_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation uses its running statistics inside and leaves them as they are."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d) and layer.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()


class Shares:
    """How often something held during an epoch; kept on the device, which nobody waits for."""

    def __init__(self) -> None:
        self._held: dict[str, list[Tensor]] = {}

    def add(self, name: str, held: Tensor) -> None:
        self._held.setdefault(name, []).append(held)

    def means(self) -> dict[str, float]:
        return {name: float(torch.cat(held).float().mean()) for name, held in self._held.items()}


# -- scores and decisions ----------------------------------------------------------------------------


def margins(logits: Floats) -> Floats:
    """(N,) best known logit minus that of "unknown", from (N, K + 1)."""
    return cast(Floats, logits[:, :-1].max(axis=1) - logits[:, -1])


def probability_gap(logits: Floats, temperature: float) -> Floats:
    """(N,) best known minus "unknown" probability of softmax(logits / temperature), from (N, K + 1).

    A high temperature leaves differences of 1e-4 between nearly equal probabilities; expm1 takes them
    without cancellation.
    """
    margin = margins(logits) / temperature
    total = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature).sum(axis=1)
    return cast(Floats, -np.sign(margin) * np.expm1(-np.abs(margin)) / total)


def calibrated_bias(margins: Floats, rejected: float) -> float:
    """The bias b of "unknown" that rejects this share of (N,) margins; an image is unknown if its margin is below b."""
    position = math.floor(rejected * len(margins) + 1e-9)  # 0.29 x 100 is less than 29
    return float(np.sort(margins)[position])
