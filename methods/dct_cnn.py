"""DCT-CNN: a very small CNN on the log-scaled, standardised DCT of the whole image.

Paper: Frank, Eisenhofer, Schönherr, Fischer, Kolossa, Holz, "Leveraging Frequency Analysis for Deep Fake
Image Recognition", ICML 2020, https://arxiv.org/abs/2003.08685 (the CNN of its source identification).
Code read: RUB-SysSec/GANDCTAnalysis (src/image_np.py, src/math.py, src/models.py, classifier.py,
prepare_dataset.py).

Up-sampling leaves regular traces in the spectrum. Every image becomes the logarithms of its DCT
magnitudes, every coefficient is standardised over the training images, and a CNN whose dense layer
keeps the position, that is the frequency, names the source by ordinary cross-entropy.

Kept: orthonormal DCT of unscaled bytes in float64, natural logarithm with an offset of 1e-12, mean and
population variance per coefficient and channel over all training images; the network and its Keras
initialisation; Adam, batches of 32, at most 50 epochs, early stopping on the validation loss.
Changed: batches are shuffled anew every epoch (there: once); the best weights always come back (in that
Keras only if training was stopped); a coefficient that is constant over the training set is centred and
not scaled (there: divided by zero); what can only be rounding of a zero coefficient counts as zero; a
network that images do not reach after its first epoch, because all of its few filters are dead, is drawn
anew. (A loss at ln K would be no sign of it: few steps leave a healthy network there too.)
Added: a feature, which the authors do not define: the last map, averaged over a 4x4 grid of frequencies.

No transformed copy of the training set is held: it would be four times the bytes that stay on the device
for all methods, and the transform takes only a sixth of a step (a fifth at 128 px).
The logarithm drops the sign, so a flipped image looks the same: flips would augment nothing. It reads
resizing and JPEG as readily as a generator: real and generated images must share one storage path.

Numbers: beside each setting. Checkpoint policy: lowest validation loss. Confidence: largest softmax
probability. Scores: softmax. Cost: 0.56 of a Base step with 30 images each (width 16, one thread, 64 px;
0.58 at 128 px).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from datasets.types import ImageSet
from methods.core.batches import Batch, Batches
from methods.core.network_method import NetworkMethod, softmax
from methods.core.registry import register
from methods.core.settings import Settings
from methods.core.state import Tree
from methods.core.training import Keep, TrainingPlan, evaluating

ADAM_EPS = 1e-7  # Keras
ROUNDING = 1e-9  # above the rounding error of a float64 DCT of bytes, below any coefficient that is not zero
SMALLEST_DEVIATION = 1e-6  # of a coefficient over the training set; below it the coefficient is constant
BLIND = 1e-4  # logits of two images that differ by less do not depend on the images


class DctCnnConfig(Settings):
    """Settings of input, training and feature."""

    FORMER: ClassVar[Mapping[str, str | None]] = {
        "rounds": "epochs",
        "items_per_batch": None, "steps_per_round": None, "decay_factor": None, "decay_steps": None,
    }  # fmt: skip

    learning_rate: float = Field(default=1e-3, gt=0)  # classifier.py: Adam, constant
    batch_size: int = Field(default=32, ge=1)  # images per batch; classifier.py
    epochs: int = Field(default=50, ge=1)  # classifier.py; each one pass over the training set
    patience: int | None = Field(default=5, ge=1)  # classifier.py: epochs without a lower validation loss
    keep: Keep = "best"  # classifier.py: restore_best_weights
    log_offset: float = Field(default=1e-12, gt=0)  # image_np.py
    clip: float | None = Field(default=None, gt=0)  # ours: bound of standardised coefficients
    redraws: int = Field(default=3, ge=0)  # ours: fresh weights for a network that its images do not reach
    feature_grid: int = Field(default=4, ge=1)  # ours: side of the pooled last map; side / 4: the whole map


@register("dct_cnn")
class DctCnn(NetworkMethod):
    """Closed-set classifier on the log spectrum of the image."""

    kind = "attribution"
    title = "DCT-CNN"
    paper = "Frank et al., ICML 2020, https://arxiv.org/abs/2003.08685"
    Config = DctCnnConfig
    PRESETS = {
        "smoke": {"learning_rate": 3e-3, "batch_size": 8, "epochs": 6},
        "quick": {"learning_rate": 5e-4},  # the other published values are light enough
        "standard": {},
    }
    SEARCH = {"learning_rate": (5e-4, 1e-3, 2e-3)}

    config: DctCnnConfig
    net: LogDctClassifier

    def build(self) -> nn.Module:
        config, task = self.config, self.task
        log_dct = LogDct(task.image_size, config.log_offset, config.clip)
        return LogDctClassifier(log_dct, SmallCnn(task.num_classes, task.image_size, config.feature_grid))

    def prepare_fit(self, train: ImageSet) -> None:
        super().prepare_fit(train)
        self.net.log_dct.fit(self.run.sweep(train))
        self.redraws = Count()

    @property
    def plan(self) -> TrainingPlan:
        """Whole passes at a constant learning rate."""
        config = self.config
        return TrainingPlan(
            epochs=config.epochs, batch_size=config.batch_size, steps_per_epoch=None,
            learning_rate=config.learning_rate, keep=config.keep, patience=config.patience,
        )  # fmt: skip

    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.net.parameters(), lr=self.plan.learning_rate, eps=ADAM_EPS)

    def schedule(self, optimiser: torch.optim.Optimizer) -> None:
        return None

    def batches(self, train: ImageSet) -> Batches:
        return self.planned_batches(train, "shuffled", transform=as_bytes)

    def prepare(self, pixels: Tensor) -> Tensor:
        return as_bytes(pixels)

    def tracked(self) -> dict[str, Any]:
        return {**super().tracked(), "redraws": self.redraws}

    def train_epoch(self, epoch: int, batches: Batches) -> None:
        self.redraw_if_blind(epoch, batches)
        super().train_epoch(epoch, batches)
        self.run.record(redraws=self.redraws.count)

    def redraw_if_blind(self, epoch: int, batches: Batches) -> None:
        """Start anew while every epoch so far has ended with a network that images do not reach."""
        if not 0 < epoch == self.redraws.count + 1 <= self.config.redraws:
            return
        with evaluating(self.net):
            logits, _ = self.net(next(batches.epoch(epoch)).images)
        if float((logits - logits[0]).abs().max()) > BLIND:
            return
        self.redraws.count += 1
        with self.run.seeded("weights", self.redraws.count):
            self.net.cnn.draw()
        self.optim.state.clear()

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        logits, _ = self.net(batch.images)
        return {"ce": F.cross_entropy(logits, batch.labels)}

    def score(self, val: ImageSet) -> float:
        """Less the mean cross-entropy of the validation set: the lowest loss is the best epoch."""
        logits, _ = self.infer(val)
        own = softmax(logits)[np.arange(len(val)), val.labels]
        loss = float(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean())
        self.run.record(val_loss=loss, val_accuracy=float((logits.argmax(axis=1) == val.labels).mean()))
        return -loss


class LogDct(nn.Module):
    """Bytes to the standardised logarithms of their orthonormal DCT.

    (ln(|C X C'| + offset) - mean) / deviation, every coefficient of every channel by itself, with
    C[0, n] = sqrt(1/N), C[k, n] = sqrt(2/N) cos(pi k (2n + 1) / 2N).
    """

    basis: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int, offset: float, clip: float | None) -> None:
        super().__init__()
        self.offset, self.clip = offset, clip
        self.register_buffer("basis", orthonormal_basis(size), persistent=False)
        self.register_buffer("mean", torch.zeros(3, size, size, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(3, size, size, dtype=torch.float64))

    def logarithms(self, pixels: Tensor) -> Tensor:
        """(B, 3, N, N) on the scale 0..255 to (B, 3, N, N) float64.

        The logarithm magnifies rounding without bounds, hence the float64; and what can only be
        rounding of an exact zero is set to it, or a result would depend on the size of the batch.
        """
        coefficients = (self.basis @ pixels.double() @ self.basis.T).abs_()
        return coefficients.masked_fill_(coefficients < ROUNDING, 0.0).add_(self.offset).log_()

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Take mean and population deviation of batches of pixels, pooled, in one pass."""
        count, mean, squares = 0, torch.zeros_like(self.mean), torch.zeros_like(self.mean)
        for pixels in batches:
            logs = self.logarithms(pixels)
            own = logs.mean(dim=0)
            shift, total = own - mean, count + len(logs)
            squares += (logs - own).square_().sum(dim=0) + shift.square() * (count * len(logs) / total)
            mean += shift * (len(logs) / total)
            count = total
        deviation = (squares / count).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation < SMALLEST_DEVIATION, 1.0, deviation))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, N, N) bytes to (B, 3, N, N) float32."""
        standardised = self.logarithms(pixels).sub_(self.mean).div_(self.deviation)
        # The memory layout in which convolutions of few channels take half the time on a CPU.
        standardised = standardised.to(torch.float32, memory_format=torch.channels_last)
        return standardised if self.clip is None else standardised.clamp_(-self.clip, self.clip)


class SmallCnn(nn.Module):
    """Four 3x3 convolutions, two of them followed by average pooling, and one dense layer."""

    def __init__(self, num_classes: int, image_size: int, feature_grid: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(),
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        side = image_size // 4
        self.dense = nn.Linear(32 * side**2, num_classes)
        self.feature_side = min(feature_grid, side)
        self.draw()

    def draw(self) -> None:
        """Fresh weights: Glorot-uniform, biases 0, as Keras draws them."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.xavier_uniform_(parameter)

    def forward(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and the pooled last map (B, 32 x grid^2) of standardised coefficients (B, 3, N, N)."""
        last = self.convolutions(coefficients)
        return self.dense(last.flatten(1)), F.adaptive_avg_pool2d(last, self.feature_side).flatten(1)


class LogDctClassifier(nn.Module):
    """Both parts, with the fitted statistics among the state."""

    def __init__(self, log_dct: LogDct, cnn: SmallCnn) -> None:
        super().__init__()
        self.log_dct, self.cnn = log_dct, cnn

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and features of bytes (B, 3, N, N)."""
        logits, features = self.cnn(self.log_dct(pixels))
        return logits, features


class Count:
    """A number that is kept with the state of a training."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> Tree:
        return self.count

    def load_state_dict(self, state: Tree) -> None:
        self.count = state


def as_bytes(pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """The transform starts from bytes, so nothing is scaled before it."""
    return pixels


def orthonormal_basis(size: int) -> Tensor:
    """Rows of the type-II DCT of a length, (N, N) float64, C C' = I."""
    k, n = torch.arange(size, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)
    basis = math.sqrt(2 / size) * torch.cos(math.pi * k * (2 * n + 1) / (2 * size))
    basis[0] = math.sqrt(1 / size)
    return basis
