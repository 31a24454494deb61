"""RepMix: representation mixing for robust attribution.

Paper: Bui, Yu, Collomosse, "RepMix: Representation Mixing for Robust Attribution of Synthesized
Images", ECCV 2022, https://arxiv.org/abs/2207.02063.
Code read: TuBui/image_attribution (models/RepMix.py, models/torch_layers.py, utils/augment_imagenetc.py,
utils/folder.py, train.py, test.py).

Two independently corrupted images pass through a ResNet; their representations are mixed with random
coefficients, and so are their labels. Two heads share the mixture: real or fake, and the source. The
probabilities of the first multiply the logits of the second (the gate).

Kept: pairs of a pass through the set and partners drawn from all of it; one Dirichlet(0.4) per pair;
mixing after the last stage; the gate on logits rather than probabilities, so that a sure "fake" pulls
the logit of "real" to 0 only; the sum of both losses at equal weights, fakes weighted 1 / (K - 1) in
the detection; 13 of 15 corruptions (see core/images/corruptions.py); Adam with L2 decay, x0.85 per epoch;
range [-1, 1]; one unmixed image at inference.
Changed: images stay at their own size, with crops of 7/8 of the side in training and whole images
afterwards, where the code enlarges to 256, crops 224, and tests at 224 (`geometry="paper"`): resampling
blurs the traces and does so differently in the test. Validation on clean, unmixed images once an
epoch, where the code takes mixed and corrupted ones every second; patience is the same 6 epochs. No
ImageNet weights unless a local file is given; nothing is fetched.
Checkpoint: lowest validation loss, which train.py tests beside the last (the README names the last).
Confidence: largest softmax probability of the gated logits.
Cost per step: 1.2 x Base, corruptions and a look at the validation set every epoch included (65 against
55 ms at quick: 32 pairs against 30 images, 64 px, one CPU thread).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.types import ImageSet
from methods.core.batches import Batch, Batches, Transform, normalise
from methods.core.images.corruptions import Corruptions
from methods.core.images.geometric import random_crop, random_flip
from methods.core.network_method import NetworkConfig, NetworkMethod
from methods.core.networks.pretrained import load_trunk, resnet_trunk
from methods.core.registry import register
from methods.core.training import step_decay

CROP_RATIO = 224 / 256  # augment_imagenetc.py: crop over resize
GROUP = 2  # images per mixture
MAPS, EMBEDDING = 5, 6  # positions after the last stage and after the embedding layer


class RepMixNet(nn.Module):
    """A ResNet, an embedding, a head for sources and a head for real or fake.

    Args:
        num_classes: K; class 0 is real.
        backbone: name of a ResNet in timm.
        trunk: its further arguments.
        embedding: width E of the shared embedding.
        mixup_level: where mixing happens: 0 the images, 1 the stem's output, 2..5 that of the four
            stages, 6 the embedding.
        gate: whether detection probabilities multiply the source logits.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        trunk: Mapping[str, Any] | None = None,
        embedding: int = 256,
        mixup_level: int = MAPS,
        gate: bool = True,
    ) -> None:
        super().__init__()
        self.trunk = resnet_trunk(backbone, "repmix.backbone", **(trunk or {}))
        self.embedding = nn.Linear(self.trunk.num_features, embedding)
        self.source = nn.Linear(embedding, num_classes)
        self.detector = nn.Linear(embedding, 2)
        # Pooling and embedding are affine and coefficients add up to 1, so mixing before both is mixing after both.
        self.mixup_level = EMBEDDING if mixup_level == MAPS else mixup_level
        self.gate = gate

    def embed(self, images: Tensor, beta: Tensor | None = None) -> Tensor:
        """Embeddings (B, E) of images (B, 3, H, W), or with coefficients (B / 2, 2) those of mixtures (B / 2, E)."""
        stages: list[Callable[[Tensor], Tensor]] = [self.stem]
        stages += [self.trunk.get_submodule(f"layer{number}") for number in range(1, 5)]
        x = images
        for position, stage in enumerate([*stages, self.project]):
            if beta is not None and position == self.mixup_level:
                x = mix(x, beta)
            x = stage(x)
        return mix(x, beta) if beta is not None and self.mixup_level == EMBEDDING else x

    def stem(self, images: Tensor) -> Tensor:
        """Maps at a quarter of the side."""
        trunk = self.trunk
        pixels = images.contiguous(memory_format=torch.channels_last)  # narrow stages train 1.3 x faster so on a CPU
        maps: Tensor = trunk.maxpool(trunk.act1(trunk.bn1(trunk.conv1(pixels))))
        return maps

    def project(self, maps: Tensor) -> Tensor:
        """Embeddings (B, E) from the last stage's maps."""
        embedding: Tensor = self.embedding(maps.mean(dim=(2, 3)))
        return embedding

    def heads(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Source logits (B, K), gated if the gate is on, and detection logits (B, 2) for real and fake."""
        source, detection = self.source(embedding), self.detector(embedding)
        return gated(source, detection) if self.gate else source, detection


def mix(x: Tensor, beta: Tensor) -> Tensor:
    """Weighted sums of neighbouring rows: (m B, ...) and coefficients (B, m) to (B, ...).

    Raises:
        ValueError: there are not m rows for every row of coefficients.
    """
    if len(x) != beta.numel():
        raise ValueError(f"{len(x)} rows cannot be mixed with coefficients of shape {tuple(beta.shape)}")
    groups = x.unflatten(0, beta.shape)
    return (groups * beta.view(*beta.shape, *[1] * (x.dim() - 1))).sum(dim=1)


def gated(source: Tensor, detection: Tensor) -> Tensor:
    """z_0 = a_0 p(real), z_k = a_k p(fake) for source logits a (B, K) and p the softmax of detection logits (B, 2)."""
    real, fake = detection.softmax(dim=1).split(1, dim=1)
    return source * torch.cat([real, fake.expand(-1, source.shape[1] - 1)], dim=1)


def source_loss(logits: Tensor, labels: Tensor, beta: Tensor) -> Tensor:
    """Mean over mixtures of sum_m beta_m CE(z, y_m); logits (B, K), labels and coefficients (B, m)."""
    return -(beta * logits.log_softmax(dim=1).gather(1, labels)).sum(dim=1).mean()


def detection_loss(detection: Tensor, labels: Tensor, beta: Tensor, fake_weight: float) -> Tensor:
    """The same for real (label 0) against fake, divided by the number of mixtures and not by the sum of weights."""
    fake = (labels > 0).long()
    weight = torch.where(fake > 0, fake_weight, 1.0)
    return source_loss(detection, fake, beta * weight)


def resized(pixels: Tensor, side: int) -> Tensor:
    """Bytes (B, 3, H, W) brought to a square of that side, bilinearly with antialiasing."""
    from torchvision.transforms.v2.functional import resize  # more than a second of start-up, for one geometry alone

    scaled: Tensor = resize(pixels, [side, side])
    return scaled


class RepMixConfig(NetworkConfig):
    """Settings of RepMix; in brackets the names of the official configuration."""

    backbone: str = "resnet50"  # RepMix.py
    channels: tuple[int, int, int, int] | None = None  # of the four stages; None: the backbone's own
    stem_width: int | None = Field(default=None, ge=4)  # likewise
    weights: Path | None = None  # trunk weights as safetensors, named as in timm or torchvision; the code: ImageNet's
    embedding: int = Field(default=256, ge=1)  # [feat_dim]
    mixup_level: int = Field(default=MAPS, ge=0, le=EMBEDDING)  # [mixup_level]
    concentration: float = Field(default=0.4, gt=0)  # [mixup_beta] of the Dirichlet distribution
    mix: bool = True
    gate: bool = True
    detection_weight: float = Field(default=1.0, ge=0)  # RepMix.py: both losses weigh the same
    fake_weight: Literal["classes", "images"] = "classes"  # 1 / (K - 1), or real over fake training images
    geometry: Literal["native", "paper"] = "native"  # see above
    resize: int = Field(default=256, ge=32)  # "paper" only: training side before the crop
    crop: int = Field(default=224, ge=32)  # "paper" only: crop in training, whole image in the test
    corrupt_probability: float = Field(default=0.95, ge=0, le=1)  # augment_imagenetc.py
    max_severity: int = Field(default=5, ge=1, le=5)  # augment_imagenetc.py
    learning_rate: float = Field(default=1e-4, gt=0)  # [lr]
    weight_decay: float = Field(default=5e-4, ge=0)  # RepMix.py, inside Adam
    decay_factor: float = Field(default=0.85, gt=0, le=1)  # RepMix.py, after every epoch
    batch_size: int = Field(default=32, ge=1)  # pairs per batch [batch_size]; without "mix" images
    epochs: int = Field(default=30, ge=1)  # [nepochs], each one pass over the training set
    keep: Literal["last", "best"] = "best"
    patience: int | None = Field(default=6, ge=1)  # train.py: 3 validations, one every second epoch


# Epochs and corruptions were tried on validation images of mini's split "calibration" before the recorded search of the
# learning rate: corrupting half of the images still rose after 80 epochs (76.9 %), a quarter of them settled (88.0 %).
QUICK: dict[str, Any] = {
    "backbone": "resnet10t", "channels": (16, 32, 64, 128), "stem_width": 8, "embedding": 128,
    "corrupt_probability": 0.25, "max_severity": 2, "learning_rate": 2e-3, "decay_factor": 0.95,
    "epochs": 100, "steps_per_epoch": 47, "patience": None,
}  # fmt: skip


@register("repmix")
class RepMix(NetworkMethod):
    """ResNet on pixels, trained on mixtures of representations of corrupted images."""

    kind = "attribution"
    title = "RepMix"
    paper = "Bui et al., ECCV 2022, https://arxiv.org/abs/2207.02063"
    Config = RepMixConfig
    PRESETS = {
        "smoke": {**QUICK, "corrupt_probability": 0.2, "batch_size": 16, "epochs": 2, "steps_per_epoch": 30},
        "quick": QUICK,
        "standard": {
            "backbone": "resnet18", "corrupt_probability": 0.5, "max_severity": 3, "learning_rate": 1e-3, "epochs": 40,
            "decay_factor": 0.9, "patience": 10,
        },
    }  # fmt: skip
    VARIANTS = {
        "nomix": {"mix": False},
        "nogate": {"gate": False},
        "nodetection": {"detection_weight": 0.0},
        "nocorruption": {"corrupt_probability": 0.0},
        "paper": {"geometry": "paper"},
    }
    SEARCH = {"learning_rate": (1e-3, 2e-3, 4e-3)}
    ABLATIONS = {
        "repmix-parts": ("repmix", "repmix@nomix", "repmix@nogate", "repmix@nodetection", "repmix@nocorruption")
    }

    config: RepMixConfig
    net: RepMixNet

    def build(self) -> nn.Module:
        config = self.config
        trunk = {"channels": config.channels, "stem_width": config.stem_width}
        given = {name: value for name, value in trunk.items() if value is not None}
        return RepMixNet(
            self.task.num_classes, config.backbone, given, config.embedding, config.mixup_level, config.gate
        )

    def prepare_fit(self, train: ImageSet) -> None:
        batches = len(train) / self.plan.batch_size
        whole = max(1, math.floor(batches)) if self.drop_last else math.ceil(batches)
        self.steps = self.plan.steps_per_epoch or whole
        super().prepare_fit(train)
        real = int((train.labels == 0).sum())
        by_images = real / max(1, len(train) - real)
        self.fake_weight = by_images if self.config.fake_weight == "images" else 1 / (self.task.num_classes - 1)
        if self.config.weights is not None:
            load_trunk(self.net.trunk, self.config.weights, "repmix.weights")

    def optimiser(self) -> torch.optim.Optimizer:
        config = self.config
        return torch.optim.Adam(self.net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)

    def schedule(self, optimiser: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return step_decay(optimiser, self.config.decay_factor, self.steps)

    # -- images --------------------------------------------------------------------------------------

    def batches(self, train: ImageSet) -> Batches:
        sampler: Literal["paired", "shuffled"] = "paired" if self.config.mix else "shuffled"
        return self.planned_batches(train, sampler, drop_last=self.drop_last, transform=self.augmentation())

    @property
    def drop_last(self) -> bool:
        """Whether a last batch could bring a single row to a normalisation layer, which needs two."""
        return not self.config.mix or self.config.mixup_level < MAPS

    def augmentation(self) -> Transform:
        """Flip, crop, corrupt; every image of a pair for itself."""
        config, native = self.config, self.config.geometry == "native"
        side = round(self.task.image_size * CROP_RATIO) if native else config.crop
        corrupt = Corruptions(
            side, self.run.device, probability=config.corrupt_probability, max_severity=config.max_severity
        )

        def augmented(pixels: Tensor, generator: torch.Generator) -> Tensor:
            whole = pixels if native else resized(pixels, config.resize)
            cropped = random_crop(random_flip(whole, generator), side, generator)
            return normalise(corrupt(cropped, generator))

        return augmented

    def prepare(self, pixels: Tensor) -> Tensor:
        config = self.config
        return normalise(pixels if config.geometry == "native" else resized(pixels, config.crop))

    # -- training ------------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        config = self.config
        labels = batch.labels.view(-1, GROUP if config.mix else 1)
        beta = coefficients(len(labels), config.concentration) if config.mix else torch.ones(len(labels), 1)
        beta = beta.to(labels.device)
        return self.terms(self.net.embed(batch.images, beta), labels, beta)

    def terms(self, embedding: Tensor, labels: Tensor, beta: Tensor) -> dict[str, Tensor]:
        """Both losses of embeddings (B, E) with labels and coefficients (B, m)."""
        logits, detection = self.net.heads(embedding)
        detector = detection_loss(detection, labels, beta, self.fake_weight)
        return {"source": source_loss(logits, labels, beta), "detection": self.config.detection_weight * detector}

    def score(self, val: ImageSet) -> float:
        """Minus the training loss on clean, unmixed images."""
        logits, features = self.infer(val)
        labels = torch.from_numpy(val.labels.copy())[:, None].to(self.run.device)
        with torch.inference_mode():
            terms = self.terms(torch.from_numpy(features).to(self.run.device), labels, torch.ones_like(labels))
        loss = float(torch.stack([*terms.values()]).sum())
        self.run.record(val_accuracy=float((logits.argmax(axis=1) == val.labels).mean()), val_loss=loss)
        return -loss

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.net.embed(images)
        return self.net.heads(embedding)[0], embedding


def coefficients(count: int, concentration: float) -> Tensor:
    """(count, 2) draws from the symmetric Dirichlet distribution, by the global generator of main memory."""
    return torch.distributions.Dirichlet(torch.full((GROUP,), concentration)).sample((count,))
