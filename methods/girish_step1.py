"""Girish et al., step 1: the classifier that the discovery method (girish.py) starts from, on its own.

Paper: Girish, Suri, Rambhatla, Shrivastava, "Towards Discovery and Attribution of Open-World GAN
Generated Images", ICCV 2021, https://arxiv.org/abs/2105.04580.
Code read: Sharath-girish/openworld-gan (networks.py, transforms.py, train_classifier.py, cfgs/config.yaml).

Discovery uses the unlabelled test images themselves and gives no score for a single new one. Its network
of the first iteration saw labelled images only, so that it can stand beside inductive methods.

Kept: plain RGB without any frequency transform; ResNet-50 up to global average pooling, then three linear
layers with ReLU and dropout and a linear head; the feature is the output of the third ReLU, hence without
negative values; cross-entropy; Adam at a constant rate; random order; the incomplete last batch; images
brought to 256 px; no augmentation by default ("augment": blur, JPEG and flips, its transform "jpeg_blur");
the last epoch's weights.
Changed: the trunk starts from ImageNet weights only where a file is given ("weights"), else at random;
the light presets use the convolutions of the shared network at the images' own size, a narrower head and
fewer epochs with a higher rate. The variant "dct" starts from the shared network as the open-set methods
have it, with the DCT and the dense layer that plain pixels do without: what a method gains by its stages
and not by its input.

Numbers: beside each setting. Checkpoint policy: last epoch. Confidence: largest softmax probability
(ours: the method defines none). Cost: about that of a Base step with 30 images each (width 16, 64 px, one thread).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from datasets.types import ImageSet
from methods.core.batches import Batch, Batches, normalise
from methods.core.images.geometric import random_flip
from methods.core.images.jpeg import through_jpeg
from methods.core.images.operators import gaussian_matrix, on_both_axes
from methods.core.network_method import NetworkConfig, NetworkMethod
from methods.core.networks.pretrained import load_trunk, resnet_trunk
from methods.core.networks.simple_cnn import SimpleCnn
from methods.core.registry import register

# Trunks made of the shared network: its convolutions on pixels; or all of it up to its feature, DCT included.
CONVOLUTIONS, WHOLE = "simple_cnn", "simple_cnn_dct"
AUGMENTED = 0.1  # transforms.py: chance of blur, and that of JPEG
WIDEST_BLUR, SHARPEST, TRUNCATE = 3.0, 1e-3, 4.0  # pixels; the width 0 divides by zero; widths
QUALITIES = (30, 100)


class SharedFeature(nn.Module):
    """The shared network up to its feature: DCT, convolutions, dense layer."""

    def __init__(self, network: SimpleCnn) -> None:
        super().__init__()
        self.input, self.main, self.fc = network.input, network.main, network.fc

    def forward(self, images: Tensor) -> Tensor:
        """(B, C) for images (B, 3, N, N)."""
        feature: Tensor = self.fc(self.main(self.input(images)).flatten(1))
        return feature


class DiscoveryNet(nn.Module):
    """Trunk, global average pooling, three linear layers with ReLU and dropout, linear head.

    Args:
        trunk: maps (B, C, H', W') of images, or features (B, C), which are not pooled.
        channels: C.
        head: widths of the three layers; the last one is that of the feature.
        outputs: number of classes.
        dropout: after every ReLU.
        input_size: side that images are brought to, bilinearly; None leaves them as they are.
    """

    def __init__(
        self,
        trunk: nn.Module,
        channels: int,
        head: tuple[int, ...],
        outputs: int,
        dropout: float = 0.5,
        input_size: int | None = None,
    ) -> None:
        super().__init__()
        self.trunk, self.input_size = trunk, input_size
        widths = [channels, *head]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths[:-1], widths[1:], strict=True))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(head[-1], outputs)

    def renew_head(self, outputs: int) -> None:
        """Replace the linear head by a fresh one of so many outputs; the device stays."""
        device = self.classifier.weight.device
        self.classifier = nn.Linear(self.classifier.in_features, outputs).to(device)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, outputs), features (B, head[-1]) and pooled maps (B, C) of images (B, 3, N, N) in [-1, 1]."""
        if self.input_size is not None and images.shape[-1] != self.input_size:
            images = F.interpolate(images, self.input_size, mode="bilinear", antialias=True)
        maps = self.trunk(images)
        pooled = maps.mean(dim=(2, 3)) if maps.dim() == 4 else maps
        dropped = feature = pooled
        for layer in self.layers:
            feature = F.relu(layer(dropped))
            dropped = self.dropout(feature)
        return self.classifier(dropped), feature, pooled


class GirishStep1Config(NetworkConfig):
    """Settings of the first network; numbers are those of cfgs/config.yaml."""

    backbone: str = "resnet50"  # name of a ResNet in timm, "simple_cnn" or "simple_cnn_dct"
    width: int = Field(default=64, ge=1)  # of the last two: channels of the first stage
    weights: Path | None = None  # trunk weights as safetensors, named as in timm; the code: ImageNet's
    input_size: int | None = Field(default=256, ge=32)  # side that images are brought to; None: their own
    head: tuple[int, int, int] = (512, 512, 128)  # networks.py
    dropout: float = Field(default=0.5, ge=0, lt=1)  # networks.py
    feature: Literal["fc", "backbone"] = "fc"  # [extract_level]
    augment: bool = False  # [transform: jpeg_blur]
    learning_rate: float = Field(default=1e-4, gt=0)
    decay_factor: float = Field(default=1.0, gt=0, le=1)  # no schedule
    batch_size: int = Field(default=256, ge=1)  # images per batch
    epochs: int = Field(default=50, ge=1)  # [num_epochs] of step 1, each one pass over the labelled images


QUICK: dict[str, Any] = {
    "backbone": CONVOLUTIONS, "width": 16, "input_size": None, "head": (128, 128, 64), "dropout": 0.2,
    "learning_rate": 5e-4, "batch_size": 30, "epochs": 10,
}  # fmt: skip


@register("girish_step1")
class GirishStep1(NetworkMethod):
    """Classifier on plain pixels whose features come from a ReLU."""

    kind = "attribution"
    title = "Girish et al., step 1"
    paper = "Girish et al., ICCV 2021, https://arxiv.org/abs/2105.04580"
    Config = GirishStep1Config
    PRESETS = {
        "smoke": {**QUICK, "width": 8, "epochs": 6, "steps_per_epoch": 15, "learning_rate": 1e-3},
        "quick": QUICK,
        "standard": {
            "backbone": CONVOLUTIONS,
            "width": 32,
            "input_size": None,
            "learning_rate": 1e-3,
            "batch_size": 64,
            "epochs": 15,
        },
    }
    VARIANTS = {"augmented": {"augment": True}, "dct": {"backbone": WHOLE, "input_size": None}}
    SEARCH = {"learning_rate": (5e-4, 1e-3, 2e-3)}

    config: GirishStep1Config
    net: DiscoveryNet

    def build(self) -> nn.Module:
        config, task = self.config, self.task
        trunk, channels = self.build_trunk()
        return DiscoveryNet(trunk, channels, config.head, task.num_classes, config.dropout, config.input_size)

    def build_trunk(self) -> tuple[nn.Module, int]:
        """The trunk and the number of its maps."""
        config, side = self.config, self.config.input_size or self.task.image_size
        if config.backbone in (CONVOLUTIONS, WHOLE):
            network = SimpleCnn(self.task.num_classes, side, config.width)
            trunk = network.main if config.backbone == CONVOLUTIONS else SharedFeature(network)
            return trunk, network.num_features
        resnet = resnet_trunk(config.backbone, f"{self.name}.backbone")
        return resnet, resnet.num_features

    def prepare_fit(self, train: ImageSet) -> None:
        super().prepare_fit(train)
        if self.config.weights is not None:
            load_trunk(self.net.trunk, self.config.weights, f"{self.name}.weights")

    def batches(self, train: ImageSet) -> Batches:
        return self.planned_batches(train, "shuffled", transform=self.transform)

    def transform(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Bytes to floats in [-1, 1], augmented if that is asked for."""
        return normalise(augmented(pixels, generator) if self.config.augment else pixels)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"cls": F.cross_entropy(self.net(batch.images)[0], batch.labels)}

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, feature, pooled = self.net(images)
        return logits, feature if self.config.feature == "fc" else pooled


def augmented(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Bytes (B, 3, N, N): a tenth blurred, a tenth through JPEG, half of them flipped."""
    chance, level = torch.rand(2, 2, len(pixels), generator=generator, device=pixels.device)
    changed = random_flip(pixels, generator)
    for change, mine, strength in zip((blurred, through_file), chance < AUGMENTED, level, strict=True):
        if mine.any():
            changed[mine] = change(changed[mine], strength[mine].tolist())
    return changed


def blurred(pixels: Tensor, levels: Sequence[float]) -> Tensor:
    """Gaussian blur of a width of its own for every image; levels in [0, 1)."""
    side, widths = pixels.shape[-1], [max(SHARPEST, WIDEST_BLUR * level) for level in levels]
    matrices = np.stack([gaussian_matrix(side, width, "reflect", TRUNCATE) for width in widths])
    operators = torch.from_numpy(matrices.astype(np.float32)).to(pixels.device)
    return on_both_axes(operators, pixels.float()).round().clamp(0, 255).to(torch.uint8)


def through_file(pixels: Tensor, levels: Sequence[float]) -> Tensor:
    """Through a JPEG file of a quality of its own for every image; levels in [0, 1)."""
    lowest, highest = QUALITIES
    qualities = [lowest + int(level * (highest - lowest + 1)) for level in levels]
    images = pixels.permute(0, 2, 3, 1).cpu().numpy()
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        decoded = np.stack([*pool.map(through_jpeg, images, qualities)])
    return torch.from_numpy(decoded).to(pixels.device).permute(0, 3, 1, 2)
