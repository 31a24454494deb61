"""DNA-Det: patches of one architecture, wherever they lie, are pulled together.

Paper: Yang, Huang, Cao, Li, Li, "Deepfake Network Architecture Attribution", AAAI 2022,
https://arxiv.org/abs/2202.13843. Code read: ICTMCG/DNA-Det (main.py, trainer.py, models/models.py,
utils/loss.py, data, configs).

What an architecture leaves behind is the same everywhere in an image; content and single weights leave
traces that vary with position. So the network sees small patches of the magnified image. Stage "pretrain"
teaches it to tell image transformations apart, which draws its eye to low-level traces; stage "finetune"
names the source. Both stages minimise cross-entropy plus a supervised contrastive loss over all patches
of a batch, weighted by two learnt scalars. Images are judged whole: the network is fully convolutional.

Kept, with the celeba configuration's numbers as defaults: the network (Simple_CNN without DCT, pooled
over the map), magnification before cropping, one forward pass and one set of batch statistics for each
of the V crops of an image, cross-entropy of a softmax in "finetune" (the network hands out
probabilities; `plain_ce` takes the logits), a fresh head and projection for "finetune".
Changed: magnified by a factor instead of to 512 px, the same for 128-px images; 10 images per class and
batch instead of 32, which with 15 classes gives 150 images instead of 160; epochs of 500 steps;
transformations at the size of the images instead of on 128-px crops; both stages choose their epoch by
accuracy (the code takes macro-F1 in "pretrain", where labels are uniform draws).
Checkpoint: best validation accuracy, ties to the later epoch. Confidence: largest softmax probability
of the logits, in float64, since the softmax of a softmax pushes probabilities against 1.
Cost of a step beside one of Base, both at preset quick, 64 px, one thread: 1.37 in "finetune" (100 ms to
73 ms on a slow, busy core) and 1.74 in "pretrain"; a cell's training takes about 155 core-seconds.
Presets quick and standard use `plain_ce`, since at the start the softmax of a softmax has gradients K
times weaker, and `blind_start`: content is many times stronger than the traces in these patches, and a
few hundred steps do not get past it. Quick pre-trains on 12 of the 170 transformations: on 44, 300 steps
stay at chance.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from datasets.errors import UserError
from datasets.types import ImageSet
from methods.core.batches import Batch, Batches, normalise
from methods.core.images.transformations import Transformations
from methods.core.losses import classification_loss
from methods.core.network_method import NetworkConfig, NetworkMethod
from methods.core.networks.simple_cnn import STAGES, ConvBlock
from methods.core.registry import register
from methods.core.training import Keep, TrainingPlan, descend, evaluating

PIXELS_AT_ONCE = 2**22  # of magnified images in a forward pass without gradients: bounds memory


class DnaDetConfig(NetworkConfig):
    """Settings of DNA-Det; in brackets the names of the official configurations."""

    FORMER: ClassVar[Mapping[str, str | None]] = {
        "pretrain_rounds": "pretrain_epochs",
        "pretrain_steps_per_round": "pretrain_steps_per_epoch",
        "pretrain_batch": "pretrain_batch_size",
    }

    width: int = Field(default=64, ge=1)  # models.py: channels of the first stage
    projection: int = Field(default=128, ge=2)  # models.py: values that the contrastive loss compares
    magnification: int = Field(default=4, ge=1)  # [resize_size] 512 of 128-px images
    patch: int = Field(default=64, ge=16)  # [crop_size]; 16 px end as a single position of the map
    patches: int = Field(default=16, ge=2)  # [multi_size]; a lone patch has nothing to be pulled to
    blind_start: bool = False  # ours, for trainings too short to find the traces under the content
    plain_ce: bool = False  # cross-entropy of the logits in "finetune"
    temperature: float = Field(default=0.07, gt=0)  # loss.py: of the contrastive loss
    weight_learning_rate: float = Field(default=0.01, gt=0)  # main.py: of the two loss weights

    batch_size: int = Field(default=10, ge=1)  # images per class and batch
    epochs: int = Field(default=30, ge=1)  # [max_epochs]; with the next line 15,000 steps
    steps_per_epoch: int | None = Field(default=500, ge=1)
    keep: Keep = "best"
    patience: int | None = Field(default=21, ge=1)  # trainer.py stops after more than 20

    transformations_every: int = Field(default=1, ge=1)  # 1: all 170; 4: every fourth value of each grid, 44
    pretrain_epochs: int = Field(default=50, ge=0)  # configs/pretrain.py [max_epochs]; 0: from scratch
    pretrain_steps_per_epoch: int | None = Field(default=None, ge=1)
    pretrain_batch_size: int = Field(default=128, ge=2)  # images per batch, of whatever classes
    pretrain_learning_rate: float = Field(default=1e-4, gt=0)
    pretrain_decay_steps: int = Field(default=500, ge=1)


QUICK: dict[str, Any] = {
    "width": 16, "projection": 64, "magnification": 2, "patch": 32, "patches": 4, "plain_ce": True, "blind_start": True,
    "batch_size": 2, "learning_rate": 5e-4, "epochs": 12, "steps_per_epoch": 100, "decay_steps": 40,
    "transformations_every": 16, "pretrain_epochs": 2, "pretrain_steps_per_epoch": 200, "pretrain_batch_size": 32,
    "pretrain_learning_rate": 1e-3,
}  # fmt: skip


# -- network and losses ----------------------------------------------------------------------------------


class PatchNet(nn.Module):
    """Eight convolutions in four halving stages, global average pooling, a linear head; any size from 16 px.

    Args:
        num_classes: K.
        width: channels of the first stage; the feature has 8 x width values.
        blind_start: the first filters start with zero sum and repeat the border instead of zeros, so
            that flat colour leaves no response and differences between neighbours all of it.
    """

    def __init__(self, num_classes: int, width: int, blind_start: bool = False) -> None:
        super().__init__()
        channels = [width * 2**stage for stage in range(STAGES)]
        first = ConvBlock(3, width, 4, 2, nn.BatchNorm2d, border="replicate" if blind_start else "zeros")
        blocks: list[nn.Module] = [first, ConvBlock(width, width, 3, 1, nn.BatchNorm2d)]
        for inputs, outputs in pairwise(channels):
            blocks += [
                ConvBlock(inputs, outputs, 4, 2, nn.BatchNorm2d),
                ConvBlock(outputs, outputs, 3, 1, nn.BatchNorm2d),
            ]
        self.main = nn.Sequential(*blocks)
        self.classification_head = nn.Sequential(nn.Dropout(0.2), nn.Linear(channels[-1], num_classes))
        if blind_start:
            draw_blind_to_flat_colour(first.convolution)  # last: with it all other weights are those without it

    def embed(self, images: Tensor) -> Tensor:
        """Features (B, 8 x width) of images (B, 3, H, W) in [-1, 1]."""
        feature: Tensor = self.main(images).mean(dim=(2, 3))
        return feature

    def classify(self, features: Tensor) -> Tensor:
        """Logits (B, K)."""
        logits: Tensor = self.classification_head(features)
        return logits

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and features (B, 8 x width)."""
        features = self.embed(images)
        return self.classify(features), features


def draw_blind_to_flat_colour(convolution: nn.Conv2d) -> None:
    """Fresh weights with a zero sum of every filter in each channel."""
    convolution.reset_parameters()
    with torch.no_grad():
        convolution.weight -= convolution.weight.mean(dim=(2, 3), keepdim=True)


def projection_head(features: int, outputs: int) -> nn.Sequential:
    """Two layers between the features and the contrastive loss; not needed once trained."""
    return nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, outputs))


class AutomaticWeighting(nn.Module):
    """Sum of l / (2 p^2) + ln(1 + p^2) over losses l, with a learnt scalar p each (Liebel and Körner, 2018)."""

    def __init__(self, losses: int = 2) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.ones(losses))

    def forward(self, *losses: Tensor) -> Tensor:
        squares = self.scales.square()
        return (torch.stack(losses) / (2 * squares) + squares.log1p()).sum()


def supervised_contrast(points: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss (Khosla et al., 2020; the mean stands outside the logarithm) of unit rows (N, D).

    Row i is to be nearer to the P rows of its label than to all others:
    -1/P sum_p log(exp(z_i z_p / t) / sum_{a != i} exp(z_i z_a / t)), averaged over the rows that have a partner.
    """
    similarity = points @ points.T / temperature
    itself = torch.eye(len(points), dtype=torch.bool, device=points.device)
    partition = similarity.masked_fill(itself, -torch.inf).logsumexp(dim=1)
    partners = ((labels[:, None] == labels) & ~itself).to(points.dtype)
    counts = partners.sum(dim=1)
    attraction = (similarity * partners).sum(dim=1) / counts.clamp_min(1)
    return ((partition - attraction) * (counts > 0)).sum() / (counts > 0).sum().clamp_min(1)


# -- patches ---------------------------------------------------------------------------------------------


def magnify(pixels: Tensor, factor: int) -> Tensor:
    """Square bytes (B, C, N, N) to whole floats in 0..255, factor times as large, by Pillow's bicubic filter."""
    side = pixels.shape[-1]
    identity = torch.eye(side, device=pixels.device)[None, None]
    # With antialiasing, torch's kernel is Pillow's (a = -0.5); like Pillow, round after each direction.
    enlarge = F.interpolate(identity, size=(side * factor, side), mode="bicubic", antialias=True)[0, 0]
    wide = (pixels.float() @ enlarge.T).round_().clamp_(0, 255)
    return (enlarge @ wide).round_().clamp_(0, 255)


def random_patches(images: Tensor, side: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` crops of every image at uniform places: (B, C, H, W) to (count, B, C, side, side)."""
    batch, _, height, width = images.shape
    top, left = (
        torch.randint(length - side + 1, (count, batch), generator=generator, device=images.device)
        for length in (height, width)
    )
    windows = images.unfold(2, side, 1).unfold(3, side, 1)  # a view
    return windows[torch.arange(batch, device=images.device), :, top, left]


def unchanged(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Leave a batch as bytes: patches are cut once its transformation is done."""
    return pixels


class PatchMethod(NetworkMethod):
    """What both stages share: a classifier trained on patches and used on whole images."""

    Config = DnaDetConfig
    stage: str

    config: DnaDetConfig
    net: PatchNet

    @property
    @abstractmethod
    def outcomes(self) -> int:
        """Classes that the head tells apart."""

    @property
    def plain_ce(self) -> bool:
        """Whether cross-entropy is that of the logits."""
        return self.config.plain_ce

    def examples(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Bytes (B, 3, H, W) and labels (B,) to train on."""
        return batch.images, batch.labels

    def build(self) -> nn.Module:
        return PatchNet(self.outcomes, self.config.width, self.config.blind_start)

    def prepare_fit(self, train: ImageSet) -> None:
        config = self.config
        if config.patch > train.image_size * config.magnification:
            magnified = f"images of {train.image_size} px magnified {config.magnification} times"
            raise UserError(f"dna_det: patches of {config.patch} px do not fit into {magnified}; lower dna_det.patch")
        with self.run.seeded("projection", self.stage):
            self.projection = projection_head(8 * config.width, config.projection).to(self.run.device)
        self.weighting = AutomaticWeighting().to(self.run.device)
        super().prepare_fit(train)

    def optimiser(self) -> torch.optim.Optimizer:
        weights = [*self.net.parameters(), *self.projection.parameters()]
        groups: list[dict[str, Any]] = [
            {"params": weights},
            {"params": [*self.weighting.parameters()], "lr": self.config.weight_learning_rate},
        ]
        return torch.optim.Adam(groups, lr=self.plan.learning_rate)

    def tracked(self) -> dict[str, Any]:
        return {**super().tracked(), "projection": self.projection, "weighting": self.weighting}

    def train_epoch(self, epoch: int, batches: Batches) -> None:
        self.draw = self.run.generator("patches", self.stage, epoch)
        super().train_epoch(epoch, batches)

    def train_step(self, batch: Batch) -> None:
        terms = self.loss(batch)
        self.run.log(**terms)
        descend(self.weighting(*terms.values()), self.optim, self.sched)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Both losses over all patches; every slot is a forward pass with batch statistics of its own."""
        config = self.config
        pixels, labels = self.examples(batch)
        patches = random_patches(magnify(pixels, config.magnification), config.patch, config.patches, self.draw)
        features = torch.cat([self.net.embed(slot) for slot in normalise(patches)])
        labels = labels.repeat(config.patches)
        kind: Literal["ce", "double_softmax"] = "ce" if self.plain_ce else "double_softmax"
        return {
            "cls": classification_loss(self.net.classify(features), labels, kind, temperature=1.0),
            "contrast": supervised_contrast(self.project(features), labels, config.temperature),
        }

    def project(self, features: Tensor) -> Tensor:
        """Unit rows (B, projection) that the contrastive loss compares; the features come without dropout."""
        return F.normalize(self.projection(features), dim=1)

    def prepare(self, pixels: Tensor) -> Tensor:
        return pixels  # `outputs` magnifies a few at a time

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        factor = self.config.magnification
        few = max(1, PIXELS_AT_ONCE // (images.shape[-1] * factor) ** 2)
        parts = [self.net(normalise(magnify(part, factor))) for part in images.split(few)]
        logits, features = zip(*parts, strict=True)
        return torch.cat(logits), torch.cat(features)


# -- the two stages --------------------------------------------------------------------------------------


class Pretraining(PatchMethod):
    """Stage 1: which transformation has the image gone through?"""

    stage = "pretrain"

    @property
    def outcomes(self) -> int:
        return len(self.transformations)

    @property
    def plain_ce(self) -> bool:
        return True

    @property
    def plan(self) -> TrainingPlan:
        config = self.config
        return replace(
            super().plan, epochs=config.pretrain_epochs, batch_size=config.pretrain_batch_size,
            steps_per_epoch=config.pretrain_steps_per_epoch, learning_rate=config.pretrain_learning_rate,
            decay_steps=config.pretrain_decay_steps,
        )  # fmt: skip

    def prepare_fit(self, train: ImageSet) -> None:
        every, threads = self.config.transformations_every, self.run.settings.threads
        self.transformations = Transformations(train.image_size, self.run.device, every, threads)
        super().prepare_fit(train)

    def batches(self, train: ImageSet) -> Batches:
        return self.planned_batches(train, "shuffled", drop_last=True, transform=unchanged, name=self.stage)

    def examples(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.transformed(batch.images, self.draw)

    def transformed(self, pixels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Every image through a transformation drawn uniformly, and which one that was."""
        labels = torch.randint(len(self.transformations), (len(pixels),), generator=generator, device=pixels.device)
        return self.transformations(pixels, labels, generator), labels

    def accuracy(self, images: ImageSet) -> float:
        """Share of images whose transformation is recognised; the draws are the same every time."""
        generator, right = self.run.generator("validation", self.stage), 0
        with evaluating(self.net):
            for pixels in self.run.sweep(images):
                changed, labels = self.transformed(pixels, generator)
                logits, _ = self.outputs(self.prepare(changed))
                right += int((logits.argmax(dim=1) == labels).sum())
        return right / len(images)


@register("dna_det")
class DnaDet(PatchMethod):
    """Stage 2: which source made the image? Starts from the convolutions of stage 1."""

    kind = "attribution"
    title = "DNA-Det"
    paper = "Yang et al., AAAI 2022, https://arxiv.org/abs/2202.13843"
    stage = "finetune"
    PRESETS = {
        "smoke": {
            **QUICK, "width": 8, "projection": 32, "patches": 2, "batch_size": 4, "learning_rate": 3e-3,
            "epochs": 3, "steps_per_epoch": 20, "pretrain_epochs": 1, "pretrain_steps_per_epoch": 3,
            "pretrain_batch_size": 16,
        },
        "quick": QUICK,
        "standard": {
            "width": 32, "projection": 64, "patches": 8, "blind_start": True, "plain_ce": True, "learning_rate": 1e-3,
            "epochs": 20, "steps_per_epoch": 200, "decay_steps": 133, "transformations_every": 4,
            "pretrain_epochs": 10, "pretrain_steps_per_epoch": 300, "pretrain_learning_rate": 1e-3,
        },
    }  # fmt: skip
    VARIANTS = {"ce": {"plain_ce": True}, "scratch": {"pretrain_epochs": 0}}
    SEARCH = {"learning_rate": (5e-4, 1e-3, 2e-3)}
    ABLATIONS = {"pretraining": ("dna_det@scratch", "dna_det")}

    start: Mapping[str, Tensor] | None = None

    @property
    def outcomes(self) -> int:
        return self.task.num_classes

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        self.prepare_fit(train)  # whoever watches stage 1 may already ask for predictions
        if self.config.pretrain_epochs:
            with self.run.stage(Pretraining.stage):
                first = Pretraining(self.config, self.run)
                first.fit(train, val)
                self.start = first.net.main.state_dict()
        with self.run.stage(self.stage):
            super().fit(train, val)

    def prepare_fit(self, train: ImageSet) -> None:
        super().prepare_fit(train)
        if self.start is not None:
            self.net.main.load_state_dict(self.start)

    def batches(self, train: ImageSet) -> Batches:
        return self.planned_batches(train, drop_last=True, transform=unchanged, name=self.stage)
