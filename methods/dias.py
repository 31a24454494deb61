"""Base+DIAS: difficulty-aware simulator; fakes of three difficulties, label smoothing as the only open-set loss.

Paper: Moon, Park, Seong, Cho, Heo, "Difficulty-Aware Simulator for Open Set Recognition", ECCV 2022,
https://arxiv.org/abs/2207.10024.
Code read: wjun0830/Difficulty-Aware-Simulator (osr.py, osr.sh, models/models.py), built on iCGY96/ARPL.

The classifier f learns beside a second network of the same shape, the Copycat g, which classifies too
and imitates f's intermediate outputs (taps), and beside a GAN.

    difficulty  fake                                enters f at         target                    batch norm
    hard, twice g's outputs after stages 2 and 3    the following stage  half the label, half even main
    moderate    generated images                    the input            even                      auxiliary
    easy        g's feature                         the linear head      even                      none

An epoch is a GAN pass (discriminator; generator; f on images and generated images) and a Copycat pass
(g; f on images and g's outputs). The generator *maximises* f's distance from the even target: it makes
images that f is sure about.

Kept: all of the above, smoothing 0.5 and 1, weights 0.1 (a third of it for each of g's three fakes), g
learning in training mode beside f in evaluation mode and the reverse, hard fakes moving f's running
statistics.
Changed: the shared base network for the code's nine convolutions, so that taps lie after its stages 2
and 3 (57 % and 29 % of the forward cost are left there, against 64 % and 13 %) and the head has Base's
dropout and bias; g has plain batch norm, since it never sees generated images; fakes as large as the
images (the code's are always 32 px); Adam at Base's rate and decay for f and g, no augmentation (the
code's SGD, crops and flips are settings); fakes of f's step carry no graph, since the code discards
those gradients.

Checkpoint: the best epoch on validation images (the code looks at test images every epoch and keeps the last).
Confidence: largest softmax probability.
Cost, measured at 64 px on one thread, batch 30, in steps of Base: 4.0 per batch at preset quick (network 16, GAN 8
wide; 4.7 and 3.2 in turn). As published (64, 64): 8.9 + 3.3 for the two steps of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from datasets.types import ImageSet
from methods.base import QUICK
from methods.core.batches import Batch
from methods.core.gan_method import GanConfig, GanMethod
from methods.core.networks.dual_norm import AUXILIARY, DualBatchNorm2d, branch, unmoved_statistics
from methods.core.networks.simple_cnn import STAGES, SimpleCnn
from methods.core.registry import register
from methods.core.training import descend, frozen

TAPS = (2, 3)  # models.py: after the first and second group of three; here stages done before each tap


class DiasConfig(GanConfig):
    """Settings of DIAS; in brackets the names of the official code. `fake_weight` is its beta."""

    temperature: float = Field(default=1.0, gt=0)  # [temp], of the softmax at test time
    hard_smoothing: float = Field(default=0.5, ge=0, le=1)  # [smoothing]
    even_smoothing: float = Field(default=1.0, ge=0, le=1)  # [smoothing2]
    copycat_weight: float = Field(default=0.1, ge=0)  # [fake_ratio], of the mean of the Copycat's three fakes
    imitation_weight: float = Field(default=1.0, ge=0)  # [pull_ratio]
    freeze_bn_on_copycat: bool = False  # keep hard fakes out of f's running statistics
    alternate: bool = False  # one pass per epoch, whose batches go to GAN and Copycat in turn


class Taps(NamedTuple):
    """Outputs of a network on the way: after stages 2 and 3, and its feature before the head's dropout."""

    early: Tensor
    late: Tensor
    feature: Tensor


def taps_of(net: SimpleCnn, images: Tensor) -> Taps:
    """(B, 2 w, N/4, N/4), (B, 4 w, N/8, N/8) and (B, 8 w) of images (B, 3, N, N), w the network's width."""
    early, late = imitated_taps(net, images)
    return Taps(early, late, net.embed(net.stages(late, TAPS[1], STAGES)))


def imitated_taps(net: SimpleCnn, images: Tensor) -> tuple[Tensor, Tensor]:
    """The first two of `taps_of`, without the way from there to the feature."""
    early = net.stages(net.input(images), 0, TAPS[0])
    return early, net.stages(early, *TAPS)


def resume(net: SimpleCnn, tap: Tensor, stage: int) -> Tensor:
    """Logits (B, K) of what a network would do with the output of its stage `stage`."""
    return net.classify(net.embed(net.stages(tap, stage, STAGES)))[0]


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of logits (B, K) against (1 - smoothing) x label + smoothing / K; with 1 labels do not count."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


# Narrow GAN, passes in turn. Rate chosen by validation accuracy on the split "calibration";
# it falls as far as over the published 20 epochs.
LIGHT: dict[str, Any] = {
    **QUICK, "learning_rate": 1e-3, "epochs": 10, "decay_steps": 25, "generator_width": 8, "discriminator_width": 8,
    "alternate": True,
}  # fmt: skip


@register("dias")
class Dias(GanMethod):
    """A classifier trained against generated images and against features of a network that imitates it."""

    kind = "osr"
    title = "Base+DIAS"
    paper = "Moon et al., ECCV 2022, https://arxiv.org/abs/2207.10024"
    Config = DiasConfig
    PRESETS = {
        "smoke": {
            **LIGHT, "width": 8, "generator_width": 4, "discriminator_width": 4, "epochs": 2, "steps_per_epoch": 12,
            "learning_rate": 2e-3,
        },
        "quick": LIGHT,
        "standard": {**QUICK, "width": 32, "epochs": 20, "steps_per_epoch": 200, "decay_steps": 200},
    }  # fmt: skip
    SEARCH = {"learning_rate": (1e-3, 2e-3, 4e-3)}

    config: DiasConfig
    net: SimpleCnn

    def build(self) -> nn.Module:
        return self.base_network(DualBatchNorm2d)

    def base_network(self, norm: type[nn.Module]) -> SimpleCnn:
        config, task = self.config, self.task
        return SimpleCnn(task.num_classes, task.image_size, config.width, config.input_data, norm=norm)

    def prepare_fit(self, train: ImageSet) -> None:
        super().prepare_fit(train)
        self.gan = self.build_gan()
        with self.run.seeded("copycat"):
            self.copycat = self.base_network(nn.BatchNorm2d).to(self.run.device)
        self.copycat_optim = self.make_optimiser(self.copycat.parameters())

    def tracked(self) -> dict[str, Any]:
        return {**super().tracked(), "gan": self.gan, "copycat": self.copycat, "copycat_optim": self.copycat_optim}

    # -- training ------------------------------------------------------------------------------------

    @property
    def passes(self) -> int:
        return 1 if self.config.alternate else 2

    def update(self, batch: Batch, lap: int, step: int) -> Mapping[str, Tensor]:
        to_copycat = step % 2 == 1 if self.config.alternate else lap == 1
        if not to_copycat:
            return self.gan_step(batch)
        return {**self.imitate(batch), **self.learn_from_copycat(batch)}

    def gan_step(self, batch: Batch) -> Mapping[str, Tensor]:
        """One step each of discriminator, generator and f."""
        gan, count = self.gan, len(batch.labels)
        fakes = gan.fakes(count, self.noise)
        discriminator = gan.step_discriminator(batch.images, fakes)
        with frozen(self.net):
            generator = gan.adversarial_loss(fakes) - self.moderate_loss(fakes, batch.labels)
        gan.step_generator(generator)
        moderate = self.moderate_loss(gan.detached_fakes(count, self.noise), batch.labels)
        terms = {**self.loss(batch), "moderate": moderate}
        descend(torch.stack([*terms.values()]).sum(), self.optim)
        return {"discriminator": discriminator, "generator": generator, **terms}

    def moderate_loss(self, fakes: Tensor, labels: Tensor) -> Tensor:
        """Weighted cross-entropy of f's auxiliary branch on generated images against the even target."""
        with branch(self.net, AUXILIARY):
            logits, _ = self.net(fakes)
        return self.config.fake_weight * smoothed_cross_entropy(logits, labels, self.config.even_smoothing)

    def imitate(self, batch: Batch) -> Mapping[str, Tensor]:
        """One step of the Copycat: name the class, and give the taps that f gives in evaluation mode."""
        self.net.eval()
        self.copycat.train()
        with torch.no_grad():
            early, late = imitated_taps(self.net, batch.images)
        own = taps_of(self.copycat, batch.images)
        logits, _ = self.copycat.classify(own.feature)
        distance = (F.l1_loss(own.early, early) + F.l1_loss(own.late, late)) / 2
        terms = {
            "copycat": F.cross_entropy(logits, batch.labels),
            "imitation": self.config.imitation_weight * distance,
        }
        self.follow_learning_rate()
        descend(torch.stack([*terms.values()]).sum(), self.copycat_optim)
        return terms

    def follow_learning_rate(self) -> None:
        """The Copycat learns at f's rate."""
        for group in self.copycat_optim.param_groups:
            group["lr"] = self.optim.param_groups[0]["lr"]

    def learn_from_copycat(self, batch: Batch) -> Mapping[str, Tensor]:
        """One step of f on images and on the hard and easy fakes that the Copycat makes of them."""
        self.copycat.eval()
        self.net.train()
        with torch.no_grad():
            fakes = taps_of(self.copycat, batch.images)
        terms = {**self.loss(batch), **self.copycat_terms(fakes, batch.labels)}
        descend(torch.stack([*terms.values()]).sum(), self.optim)
        return terms

    def copycat_terms(self, fakes: Taps, labels: Tensor) -> dict[str, Tensor]:
        """Smoothed cross-entropies of f on the Copycat's outputs, on the main branch."""
        config, net = self.config, self.net
        weight = config.copycat_weight / 3
        easy = smoothed_cross_entropy(net.classify(fakes.feature)[0], labels, config.even_smoothing)
        with unmoved_statistics(net) if config.freeze_bn_on_copycat else nullcontext():
            early = smoothed_cross_entropy(resume(net, fakes.early, TAPS[0]), labels, config.hard_smoothing)
            late = smoothed_cross_entropy(resume(net, fakes.late, TAPS[1]), labels, config.hard_smoothing)
        return {"easy": weight * easy, "hard_early": weight * early, "hard_late": weight * late}

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Plain cross-entropy of known images, on the main branch."""
        logits, _ = self.net(batch.images)
        return {"cls": F.cross_entropy(logits, batch.labels)}

    # -- inference -----------------------------------------------------------------------------------

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits over the temperature, so that their softmax is softmax(z / T)."""
        logits, features = self.net(images)
        return logits / self.config.temperature, features
