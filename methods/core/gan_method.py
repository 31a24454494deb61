"""What ARPL+CS and DIAS share: a classifier that is trained against a GAN, in several passes per epoch.

Source: the training loop of iCGY96/ARPL (osr.py, core/train.py), on which wjun0830/Difficulty-Aware-Simulator
is built.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from datasets.types import ImageSet
from methods.core.batches import Batch, Batches, normalise
from methods.core.network_method import NetworkConfig, NetworkMethod
from methods.core.networks.gan import Discriminator, Gan, Generator
from methods.core.training import Keep, TrainingPlan

PADDING = 4  # osr.py: RandomCrop(size, padding=4)


class GanConfig(NetworkConfig):
    """Settings of a classifier on the shared base network and of its GAN."""

    keep: Keep = "best"  # the code tests every epoch and keeps the last; "best" looks at validation
    width: int = Field(default=64, ge=1)  # of the shared base network
    input_data: Literal["dct", "img"] = "dct"  # of the shared base network
    drop_last: bool = False
    optimiser: Literal["adam", "sgd"] = "adam"  # Base's; osr.py: sgd, 0.1, x0.1 every 30 (DIAS: 60) epochs
    sgd_momentum: float = Field(default=0.9, ge=0, lt=1)  # osr.py
    sgd_weight_decay: float = Field(default=1e-4, ge=0)  # osr.py
    augmentation: Literal["none", "crop_flip"] = "none"  # Base's; osr.py: crop after padding by 4, flip
    noise_size: int = Field(default=100, ge=1)  # osr.py: nz
    generator_width: int = Field(default=64, ge=1)  # gan.py: ngf
    discriminator_width: int = Field(default=64, ge=1)  # gan.py: ndf
    gan_learning_rate: float = Field(default=2e-4, gt=0)  # osr.py: gan_lr, never decayed
    gan_beta1: float = Field(default=0.5, ge=0, lt=1)  # osr.py
    fake_weight: float = Field(default=0.1, ge=0)  # beta, of the generated images


class GanMethod(NetworkMethod):
    """An epoch is one or more passes over the training set; each batch of each pass is one `update`.

    The learning rate counts the batches of the first pass only, so that an epoch begins with the rate that
    Base has there, however many passes it takes.
    """

    config: GanConfig
    gan: Gan

    @property
    @abstractmethod
    def passes(self) -> int:
        """Passes over the training set per epoch."""

    @abstractmethod
    def update(self, batch: Batch, lap: int, step: int) -> Mapping[str, Tensor]:
        """All optimiser steps of batch number `step` of pass number `lap`; gives the loss terms to log."""

    @property
    def plan(self) -> TrainingPlan:
        return replace(super().plan, passes=self.passes)

    def build_gan(self) -> Gan:
        config, side = self.config, self.task.image_size
        with self.run.seeded("gan"):
            generator = Generator(side, config.noise_size, config.generator_width)
            discriminator = Discriminator(side, config.discriminator_width)
        device = self.run.device
        return Gan(generator.to(device), discriminator.to(device), config.gan_learning_rate, config.gan_beta1)

    def optimiser(self) -> torch.optim.Optimizer:
        return self.make_optimiser(self.net.parameters())

    def make_optimiser(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        """Adam or SGD on parameters or parameter groups."""
        config = self.config
        if config.optimiser == "adam":
            return torch.optim.Adam(parameters, lr=config.learning_rate)
        momentum, decay = config.sgd_momentum, config.sgd_weight_decay
        return torch.optim.SGD(parameters, lr=config.learning_rate, momentum=momentum, weight_decay=decay)

    def batches(self, train: ImageSet) -> Batches:
        """All passes of an epoch, one after the other, each in an order of its own."""
        transform = crop_and_flip if self.config.augmentation == "crop_flip" else normalise
        return self.planned_batches(train, drop_last=self.config.drop_last, transform=transform)

    def train_epoch(self, epoch: int, batches: Batches) -> None:
        self.net.train()
        self.noise = self.run.generator("noise", epoch)
        length = math.ceil(len(batches) / self.passes)
        for position, batch in enumerate(batches.epoch(epoch)):
            lap, step = divmod(position, length)
            self.run.log(**self.update(batch, lap, step))
            if lap == 0 and self.sched is not None:
                self.sched.step()


def crop_and_flip(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Bytes (B, 3, N, N) to floats in [-1, 1]: each image shifted by up to 4 px on black and flipped at random."""
    count, _, side, _ = pixels.shape
    device = pixels.device
    padded = F.pad(pixels, (PADDING,) * 4)
    shift = torch.randint(2 * PADDING + 1, (2, count, 1), generator=generator, device=device)
    flip = torch.rand(count, 1, generator=generator, device=device) < 0.5
    along = torch.arange(side, device=device)
    rows, columns = shift[0] + along, shift[1] + torch.where(flip, along.flip(0), along)
    images = torch.arange(count, device=device)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None, :]]
    return normalise(cropped.permute(0, 3, 1, 2).contiguous())
