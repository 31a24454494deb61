"""Base+ARPL+CS: adversarial reciprocal points learning with confusing samples.

Paper: Chen, Peng, Wang, Tian, "Adversarial Reciprocal Points Learning for Open Set Recognition", IEEE
TPAMI 2021, https://arxiv.org/abs/2103.00953.
Code read: iCGY96/ARPL (osr.py, core/train.py, core/test.py, loss/ARPLoss.py, loss/Dist.py, models/ABN.py,
models/gan.py).

A class is what lies far from its reciprocal point P_k: with the feature x of m values,
d_k = |x - P_k|^2 / m and logit z_k = d_k - x.P_k. The loss is cross-entropy of z plus
weight x mean max(0, d_y - R + 1), where one radius R is learnt for all classes. A GAN makes confusing
images: generator and classifier both push them to equal distance from all points, the discriminator
demands that they look real. They pass through a second batch norm branch.

Kept: points from N(0, 0.1^2), R from 0; the margin 1 and the single R of the code; only distances, no
dot products, in the confusing term, which is exp(mean sum q ln q) rather than the paper's entropy; three
steps per batch (discriminator, generator, classifier with fresh fakes), then a whole pass of plain ARPL.
Changed: the shared base network for the code's nine convolutions, its 512-d feature without dropout;
Adam at Base's rate and decay, no augmentation (as for Base; the code's SGD, crops and flips are
settings); q x log-softmax, since the code's form gives NaN when a q underflows; fakes of the
classifier's step carry no graph, since the code discards those gradients.
Under Adam R moves by at most the rate per step and stays below 1, so that the hinge never closes and acts
as a constant pull on d_y; with SGD it can close. `criterion_learning_rate` sets R's and the points' rate.

Checkpoint: the best epoch on validation images (the code looks at test images every epoch and keeps the last).
Confidence: the largest logit as it is; |x|^2 / m counts in it, while classes do not depend on it.
Cost, measured at 64 px on one thread, batch 30, in steps of Base: 4.7 per batch at preset quick (network 16, GAN 8
wide, no plain pass); 1.0 for a plain step. As published (64, 64): 8.2 + 1.0 for the two steps of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from datasets.types import ImageSet
from methods.base import QUICK
from methods.core.batches import Batch, Batches
from methods.core.gan_method import GanConfig, GanMethod
from methods.core.method import Prediction
from methods.core.networks.dual_norm import AUXILIARY, DualBatchNorm2d, branch
from methods.core.networks.simple_cnn import SimpleTrunk
from methods.core.registry import register
from methods.core.training import descend, frozen

POINT_SPREAD = 0.1  # Dist.py: standard deviation of the first points


class ArplCsConfig(GanConfig):
    """Settings of ARPL+CS; in brackets the names of the official code. `fake_weight` is its beta."""

    temperature: float = Field(default=1.0, gt=0)  # [temp]
    open_weight: float = Field(default=0.1, ge=0)  # lambda [weight_pl]
    margin: float = Field(default=1.0, ge=0)  # ARPLoss.py; the paper's equation has none
    confusion_form: Literal["exponential", "entropy"] = "exponential"  # ARPLoss.py; the paper has the entropy
    criterion_learning_rate: float | None = Field(default=None, gt=0)  # of points and R; None: the network's
    confusing_samples: bool = True  # [cs]; without them this is plain ARPL
    confuse_every: int = Field(default=1, ge=1)  # batches from one with confusing samples to the next
    plain_pass: bool = True  # osr.py: a pass with confusing samples, then one without


class ReciprocalPoints(nn.Module):
    """Points P (K, m) and radius R (); the farther from its point, the more a feature is of a class."""

    def __init__(self, num_classes: int, num_features: int) -> None:
        super().__init__()
        self.points = nn.Parameter(POINT_SPREAD * torch.randn(num_classes, num_features))
        self.radius = nn.Parameter(torch.zeros(()))

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Logits z (B, K) and squared distances d (B, K), per value, of features (B, m)."""
        dots = feature @ self.points.T
        squares = feature.square().sum(dim=1, keepdim=True) + self.points.square().sum(dim=1)
        distances = (squares - 2 * dots) / feature.shape[1]
        return distances - dots, distances


class ReciprocalNet(SimpleTrunk):
    """The trunk of the shared network with doubled batch norm, and reciprocal points in place of a linear head."""

    def __init__(self, num_classes: int, image_size: int, width: int, input_data: Literal["dct", "img"]) -> None:
        super().__init__(image_size, width, input_data, norm=DualBatchNorm2d)
        nn.Linear(
            self.num_features, num_classes
        )  # takes the draws of a linear head, behind which our points were drawn
        self.head = ReciprocalPoints(num_classes, self.num_features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and features (B, 8 x width) of images (B, 3, N, N) in [-1, 1]; there is no dropout."""
        feature = self.features(images)
        return self.head(feature)[0], feature


def open_loss(distances: Tensor, labels: Tensor, radius: Tensor, margin: float) -> Tensor:
    """Mean max(0, d_y - R + margin): features shall stay within R of their own class's point.

    Args:
        distances: (B, K); labels: (B,); radius: ().
    """
    own = distances.gather(1, labels[:, None]).squeeze(1)
    return F.relu(own - radius + margin).mean()


def confusion_loss(distances: Tensor, form: Literal["exponential", "entropy"] = "exponential") -> Tensor:
    """How unequal the distances (B, K) of fakes to the points are: exp of the mean of sum q ln q, q = softmax(d).

    In [1/K, 1], smallest when all distances are equal; the form "entropy" leaves the exp out.
    """
    log_q = distances.log_softmax(dim=1)
    negentropy = (log_q.exp() * log_q).sum(dim=1).mean()
    return negentropy.exp() if form == "exponential" else negentropy


# Narrow GAN, no plain pass. Rate chosen by validation accuracy on the split "calibration";
# it falls as far as over the published 20 epochs.
LIGHT: dict[str, Any] = {
    **QUICK, "learning_rate": 1e-3, "epochs": 10, "decay_steps": 25, "generator_width": 8, "discriminator_width": 8,
    "plain_pass": False,
}  # fmt: skip


@register("arpl_cs")
class ArplCs(GanMethod):
    """Reciprocal points, trained together with a GAN of confusing samples."""

    kind = "osr"
    title = "Base+ARPL+CS"
    paper = "Chen et al., TPAMI 2021, https://arxiv.org/abs/2103.00953"
    Config = ArplCsConfig
    PRESETS = {
        "smoke": {
            **LIGHT, "width": 8, "generator_width": 4, "discriminator_width": 4, "epochs": 2, "steps_per_epoch": 15,
            "learning_rate": 2e-3, "confuse_every": 3,
        },
        "quick": LIGHT,
        "standard": {**QUICK, "width": 32, "epochs": 20, "steps_per_epoch": 200, "decay_steps": 200},
    }  # fmt: skip
    VARIANTS = {"no_cs": {"confusing_samples": False}}
    SEARCH = {"learning_rate": (5e-4, 1e-3, 2e-3)}
    ABLATIONS = {"confusing": ("arpl_cs@no_cs", "arpl_cs")}

    config: ArplCsConfig
    net: ReciprocalNet

    def build(self) -> nn.Module:
        config, task = self.config, self.task
        return ReciprocalNet(task.num_classes, task.image_size, config.width, config.input_data)

    def prepare_fit(self, train: ImageSet) -> None:
        super().prepare_fit(train)
        if self.config.confusing_samples:
            self.gan = self.build_gan()

    def tracked(self) -> dict[str, Any]:
        return {**super().tracked(), "gan": self.gan} if self.config.confusing_samples else super().tracked()

    def optimiser(self) -> torch.optim.Optimizer:
        """One optimiser for the network and, with a rate of their own if wanted, points and radius."""
        criterion = [*self.net.head.parameters()]
        ids = {id(parameter) for parameter in criterion}
        network = [parameter for parameter in self.net.parameters() if id(parameter) not in ids]
        rate = self.config.criterion_learning_rate or self.config.learning_rate
        return self.make_optimiser([{"params": network}, {"params": criterion, "lr": rate}])

    # -- training ------------------------------------------------------------------------------------

    @property
    def passes(self) -> int:
        return 2 if self.config.confusing_samples and self.config.plain_pass else 1

    def train_epoch(self, epoch: int, batches: Batches) -> None:
        super().train_epoch(epoch, batches)
        self.run.record(radius=self.net.head.radius.item())

    def update(self, batch: Batch, lap: int, step: int) -> Mapping[str, Tensor]:
        if self.config.confusing_samples and lap == 0 and step % self.config.confuse_every == 0:
            return self.confusing_step(batch)
        return self.plain_step(batch)

    def plain_step(self, batch: Batch) -> Mapping[str, Tensor]:
        """One step of the classifier on known images."""
        terms = self.loss(batch)
        descend(torch.stack([*terms.values()]).sum(), self.optim)
        return terms

    def confusing_step(self, batch: Batch) -> Mapping[str, Tensor]:
        """One step each of discriminator, generator and classifier."""
        gan, count = self.gan, len(batch.labels)
        fakes = gan.fakes(count, self.noise)
        discriminator = gan.step_discriminator(batch.images, fakes)
        with frozen(self.net):
            generator = gan.adversarial_loss(fakes) + self.confusion(fakes)
        gan.step_generator(generator)
        terms = {**self.loss(batch), "confusion": self.confusion(gan.detached_fakes(count, self.noise))}
        descend(torch.stack([*terms.values()]).sum(), self.optim)
        return {"discriminator": discriminator, "generator": generator, **terms}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L_ARPL of known images, on the main branch."""
        config, head = self.config, self.net.head
        logits, distances = head(self.net.features(batch.images))
        radius_term = open_loss(distances, batch.labels, head.radius, config.margin)
        return {
            "cls": F.cross_entropy(logits / config.temperature, batch.labels),
            "open": config.open_weight * radius_term,
        }

    def confusion(self, fakes: Tensor) -> Tensor:
        """The weighted confusing term of fakes, on the auxiliary branch."""
        with branch(self.net, AUXILIARY):
            _, distances = self.net.head(self.net.features(fakes))
        return self.config.fake_weight * confusion_loss(distances, self.config.confusion_form)

    # -- inference -----------------------------------------------------------------------------------

    def predict(self, images: ImageSet) -> Prediction:
        logits, features = self.infer(images)
        return Prediction(logits, logits.max(axis=1), features)
