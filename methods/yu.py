"""Yu: learned GAN fingerprints.

Paper: Yu, Davis, Fritz, "Attributing Fake Images to GANs: Learning and Analyzing GAN Fingerprints",
ICCV 2019, https://arxiv.org/abs/1811.08180.
Code read: ningyu1991/GANFingerprints (classifier/networks.py, loss.py, config.py, run.py).

The discriminator of ProGAN with K outputs, trained with cross-entropy to name the source. The image's
fingerprint is the activation before the last layer, a source's fingerprint its row of last weights.

Kept: stored weights N(0, 1) scaled at run time (equalised learning rate), reflection padding, average
pooling, leaky ReLU 0.2, no normalisation layer, dropout or weight decay; Adam with beta1 = 0 at a
constant learning rate; horizontal flips; images as they come, without resizing or cropping. Its
analyses of where the fingerprint lives are settings: frequency band ("low", "residual"), depth of the
convolutions ("postpool") and patch size ("patch", whose map of logits is averaged here).
Changed: the rule of channels starts at the image's own side, any power of two from 8; 500 thousand
steps instead of an upper bound of 3.1 million that the code never stops before; a diverging cell is
stopped where the code skips an update with a non-finite gradient. Left out: the autoencoder that
visualises fingerprints (classifier_visNet): a tool for pictures, not the classifier that is compared.
Light presets: a smaller fmap_base, and a learning rate of 4e-3 at quick, since steps of 1e-3 change
weights of unit deviation too slowly for a thousand steps.
Checkpoint: best validation accuracy (the code keeps the last). Confidence: largest softmax probability.
Cost per step: 2.6 x Base (fmap_base 256 against width 16; 64 px, 30 images, one CPU thread).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from datasets.errors import UserError
from datasets.types import ImageSet
from methods.core.batches import Batch, Batches, normalise
from methods.core.images.geometric import random_flip
from methods.core.network_method import NetworkConfig, NetworkMethod
from methods.core.registry import register

Analysis = Literal["none", "low", "residual", "postpool", "patch"]

BANDS = ("low", "residual")  # analyses that change what the network is shown
SMALLEST = 4  # side of the last feature map
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # networks.py: gaussian_filter_down, one axis


class EqualisedConv(nn.Module):
    """Convolution with reflection padding whose stored weights are N(0, 1) and used times gain / sqrt(fan-in)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x if self.weight.shape[-1] == 1 else reflect(x), self.weight * self.scale, self.bias)


class EqualisedLinear(nn.Module):
    """Linear layer, scaled likewise; maps are flattened channel by channel."""

    def __init__(self, inputs: int, outputs: int, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight * self.scale, self.bias)


class FingerprintNet(nn.Module):
    """Convolutions in pairs, each pair halving the side, down to a feature layer and a linear head.

    Args:
        num_classes: K.
        image_size: side of the square input, a power of two from 8.
        fmap_base: a map of side 2^r is turned into fmap_base / 2^(r-2) channels ...
        fmap_max: ... but no more than these.
        analysis: "none" is the classifier of the comparison; "low" sees the image reduced to side
            `resolution` by Gaussian filters; "residual" the band that the next reduction would remove;
            "postpool" has convolutions above side `resolution` only, then pools; "patch" stops at side
            `resolution` and averages the logits of all positions.
        resolution: a power of two in 4..image_size; None is the image's own side for "low" and
            "residual" and 4 for the others, so that the whole network is used.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: int,
        fmap_base: int = 1024,
        fmap_max: int = 512,
        analysis: Analysis = "none",
        resolution: int | None = None,
    ) -> None:
        super().__init__()
        if resolution is None:
            resolution = image_size if analysis in BANDS else SMALLEST
        self.analysis, self.resolution = analysis, resolution

        def width(stage: int) -> int:
            return min(fmap_base >> stage, fmap_max)

        side = resolution if analysis in BANDS else image_size
        last = resolution if analysis == "patch" else SMALLEST
        layers: list[nn.Module] = []
        channels = 3
        while side > last:
            if analysis != "postpool" or side > resolution:
                level = side.bit_length() - 1
                layers += [EqualisedConv(channels, width(level - 1)), nn.LeakyReLU(0.2)]
                layers += [EqualisedConv(width(level - 1), width(level - 2)), nn.LeakyReLU(0.2)]
                channels = width(level - 2)
            layers.append(nn.AvgPool2d(2))
            side //= 2
        maps = width(last.bit_length() - 2)
        self.main = nn.Sequential(*layers, EqualisedConv(channels, maps), nn.LeakyReLU(0.2))
        self.num_features = max(maps, num_classes)
        self.fc: EqualisedConv | EqualisedLinear
        self.head: EqualisedConv | EqualisedLinear
        if analysis == "patch":
            self.fc = EqualisedConv(maps, self.num_features, kernel=1)
            self.head = EqualisedConv(self.num_features, num_classes, kernel=1, gain=1)
        else:
            self.fc = EqualisedLinear(maps * last**2, self.num_features)
            self.head = EqualisedLinear(self.num_features, num_classes, gain=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and features (B, D) of images (B, 3, N, N) in [-1, 1]."""
        features = F.leaky_relu(self.fc(self.main(self.band(images))), 0.2)
        logits: Tensor = self.head(features)
        if self.analysis == "patch":
            return logits.mean(dim=(2, 3)), features.mean(dim=(2, 3))
        return logits, features

    def band(self, images: Tensor) -> Tensor:
        """The part of the image that the network is shown."""
        if self.analysis not in BANDS:
            return images
        while images.shape[-1] > self.resolution:
            images = halve(images)
        return images if self.analysis == "low" else images - double(halve(images))


def reflect(x: Tensor) -> Tensor:
    """Mirror the rows and columns next to the border to the outside: F.pad(mode="reflect") by 1.

    Written as concatenations because the gradient of F.pad adds in no fixed order on a GPU.
    """
    x = torch.cat([x[:, :, 1:2], x, x[:, :, -2:-1]], dim=2)
    return torch.cat([x[..., 1:2], x, x[..., -2:-1]], dim=3)


def smooth(images: Tensor, stride: int = 1) -> Tensor:
    """5 x 5 binomial filter of every channel with reflected borders; even positions only if the stride is 2."""
    taps = images.new_tensor(BINOMIAL)
    kernel = torch.outer(taps, taps).expand(images.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), kernel, stride=stride, groups=images.shape[1])


def halve(images: Tensor) -> Tensor:
    """One step down the Gaussian pyramid."""
    return smooth(images, stride=2)


def double(images: Tensor) -> Tensor:
    """One step up: samples at even positions, zeros between them, 4 x the same filter."""
    count, channels, height, width = images.shape
    spread = images.new_zeros(count, channels, 2 * height, 2 * width)
    spread[:, :, ::2, ::2] = images
    return 4 * smooth(spread)


class YuConfig(NetworkConfig):
    """Settings of the fingerprint classifier; in brackets the names of the official configuration."""

    fmap_base: int = Field(default=1024, ge=4)  # run.py [fmap_base]
    fmap_max: int = Field(default=512, ge=1)  # networks.py [fmap_max]
    analysis: Analysis = "none"  # [mode, latent_res]
    resolution: int | None = Field(default=None, ge=SMALLEST)  # [switching_res, latent_res]; analyses only
    learning_rate: float = Field(default=1e-3, gt=0)  # config.py: C_lrate_base, constant
    beta1: float = Field(default=0.0, ge=0, lt=1)  # config.py: C_opt
    beta2: float = Field(default=0.99, ge=0, lt=1)  # config.py: C_opt
    decay_factor: float = Field(default=1.0, gt=0, le=1)  # no decay
    batch_size: int = Field(default=32, ge=1)  # images per batch; config.py: minibatch_base
    epochs: int = Field(default=160, ge=1)  # ours: 500 thousand steps
    steps_per_epoch: int | None = Field(default=3125, ge=1)  # ours: every 100 thousand images a look at validation
    keep: Literal["last", "best"] = "best"  # ours
    patience: int | None = Field(default=30, ge=1)  # ours: the code never stops early


QUICK: dict[str, Any] = {
    "fmap_base": 256, "learning_rate": 4e-3, "batch_size": 16, "epochs": 12, "steps_per_epoch": 94,
    "patience": None,
}  # fmt: skip


@register("yu")
class Yu(NetworkMethod):
    """Closed-set classifier on pixels, the discriminator of ProGAN with K outputs."""

    kind = "attribution"
    title = "Yu et al."
    paper = "Yu et al., ICCV 2019, https://arxiv.org/abs/1811.08180"
    Config = YuConfig
    PRESETS = {
        # Of a few dozen images the classifier would learn the contents by heart; without them it finds traces.
        "smoke": {
            **QUICK, "fmap_base": 64, "analysis": "residual", "learning_rate": 5e-3, "epochs": 2, "steps_per_epoch": 40,
        },
        "quick": QUICK,
        "standard": {"epochs": 40, "steps_per_epoch": 500, "patience": 10},
    }  # fmt: skip
    VARIANTS = {
        **{f"low{side}": {"analysis": "low", "resolution": side} for side in (32, 16, 8)},
        **{f"residual{side}": {"analysis": "residual", "resolution": side} for side in (64, 32, 16, 8)},
        **{f"postpool{side}": {"analysis": "postpool", "resolution": side} for side in (32, 16, 8)},
        **{f"patch{side}": {"analysis": "patch", "resolution": side} for side in (32, 16, 8, 4)},
    }
    SEARCH = {"learning_rate": (2e-3, 4e-3, 8e-3)}
    ABLATIONS = {
        "yu-frequency": ("yu", "yu@low32", "yu@low16", "yu@low8"),
        "yu-band": ("yu", "yu@residual64", "yu@residual32", "yu@residual16", "yu@residual8"),
        "yu-depth": ("yu", "yu@postpool8", "yu@postpool16", "yu@postpool32"),
        "yu-patch": ("yu", "yu@patch4", "yu@patch8", "yu@patch16", "yu@patch32"),
    }

    config: YuConfig
    net: FingerprintNet

    def build(self) -> nn.Module:
        config, size = self.config, self.task.image_size
        if size < 2 * SMALLEST or size & (size - 1):
            raise UserError(f"yu needs images whose side is a power of two from 8, not {size} px; set data.image_size")
        chosen = config.resolution
        if chosen is not None and (chosen > size or chosen & (chosen - 1)):
            allowed = f"a power of two in {SMALLEST}..{size}"
            raise UserError(f"setting yu.resolution={chosen} is refused for {size}-px images; use {allowed}")
        return FingerprintNet(self.task.num_classes, size, config.fmap_base, config.fmap_max, config.analysis, chosen)

    def optimiser(self) -> torch.optim.Optimizer:
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(self.net.parameters(), lr=self.plan.learning_rate, betas=betas)

    def batches(self, train: ImageSet) -> Batches:
        return self.planned_batches(train, "shuffled", transform=flipped)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        logits, _ = self.net(batch.images)
        return {"ce": F.cross_entropy(logits, batch.labels)}


def flipped(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """The augmentation of dataset.py: half of the images mirrored, then the range [-1, 1]."""
    return normalise(random_flip(pixels, generator))
