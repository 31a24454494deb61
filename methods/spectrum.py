"""Spectrum: logistic regression on an image's DCT spectrum, the classical control.

Papers: Frank, Eisenhofer, Schönherr, Fischer, Kolossa, Holz, "Leveraging Frequency Analysis for Deep Fake
Image Recognition", ICML 2020, https://arxiv.org/abs/2003.08685 (linear classifiers on DCT coefficients);
Durall, Keuper, Keuper, "Watch your Up-Convolution", CVPR 2020, https://arxiv.org/abs/2003.01826 (radial
profiles). Neither describes this classifier: it is ours, a row that every network has to beat.

Up-sampling leaves its mark on the spectrum whatever the image shows. So of the log-magnitudes of the
orthonormal DCT only averages are kept: over rings of equal frequency, over rays of equal direction, and over
the blocks of a 16 x 16 grid, per channel of the gray value and two colour differences.

Numbers: sums of a few hundred coefficients need no small steps, so the penalty is the only choice that
matters; validation accuracy picks it from `inverse_penalties`, the weaker penalty of equals never.
Checkpoint policy: none. Confidence: largest probability. Features: the standardised averages.
Cost: no steps. One pass over the images and a convex problem per candidate, some seconds in all.
"""

from __future__ import annotations

import warnings
from typing import Annotated, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from datasets.types import ImageSet, Pixels
from methods.core.method import Floats, Method, Prediction, Task
from methods.core.network_method import softmax
from methods.core.registry import register
from methods.core.settings import Settings
from methods.core.state import Tree

BLOCKS = 16  # of the grid, per side
RAYS = 16  # directions between horizontal and vertical frequencies
FLOOR = 1e-3  # added to magnitudes of pixels in [-1, 1] before the logarithm: below one gray level
NEVER = -1e3  # the logit of a class that training has not seen
STEADY = 1e-9  # an average that varies less is constant
# Rows: gray, blue and red difference, as in JPEG files (ITU-R BT.601).
COLOUR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


class SpectrumConfig(Settings):
    """Settings of the classifier."""

    # ours: scikit-learn's C, from the strongest penalty to the weakest
    inverse_penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(1e-3, 1e-2, 1e-1), min_length=1)
    max_iterations: int = Field(default=300, ge=1)  # ours: of L-BFGS; the penalised problem is settled before


@register("spectrum")
class Spectrum(Method):
    """Linear in averages of the log spectrum."""

    kind = "attribution"
    title = "Spectrum"
    paper = "Frank et al., ICML 2020, https://arxiv.org/abs/2003.08685 (features; the classifier is ours)"
    Config = SpectrumConfig
    PRESETS = {"smoke": {}, "quick": {}, "standard": {}}  # cheap on every machine

    config: SpectrumConfig

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        """Standardise the averages, then fit one classifier per penalty; the validation set picks one."""
        self.task = Task.of(train)
        averages = self.averages(train)
        self.mean, deviation = averages.mean(axis=0), averages.std(axis=0)
        self.deviation = np.where(deviation < STEADY, 1.0, deviation)
        rows, seen = self.standardised(averages), self.standardised(self.averages(val))
        fits = [self.regressed(rows, train.labels, penalty) for penalty in self.config.inverse_penalties]
        accuracies = [float(((seen @ w + b).argmax(axis=1) == val.labels).mean()) for w, b in fits]
        best = int(np.argmax(accuracies))  # the first, hence the strongest penalty, of equals
        self.weights, self.bias = fits[best]
        self.run.record(val_accuracy=accuracies[best], inverse_penalty=self.config.inverse_penalties[best])

    def regressed(self, rows: Floats, labels: NDArray[np.int64], penalty: float) -> tuple[Floats, Floats]:
        """Weights (D, K) and bias (K,); a class without images is never named."""
        from sklearn.exceptions import ConvergenceWarning  # a second of start-up for this method alone
        from sklearn.linear_model import LogisticRegression

        iterations = min(self.config.max_iterations, self.run.settings.max_steps or self.config.max_iterations)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="lbfgs failed to converge", category=ConvergenceWarning)
            model = LogisticRegression(C=penalty, max_iter=iterations).fit(rows, labels)
        weights, bias = np.zeros((rows.shape[1], self.task.num_classes)), np.full(self.task.num_classes, NEVER)
        if len(model.classes_) == 2:  # scikit-learn keeps one row of coefficients: the second class's lead
            weights[:, model.classes_[1]], bias[model.classes_] = model.coef_[0], [0.0, model.intercept_[0]]
        else:
            weights[:, model.classes_], bias[model.classes_] = model.coef_.T, model.intercept_
        return weights, bias

    def averages(self, images: ImageSet) -> Floats:
        """(N, D) averages of log spectra, unscaled."""
        pool = Pooling(images.image_size)
        batches = (batch.permute(0, 2, 3, 1).cpu().numpy() for batch in self.run.sweep(images))
        return np.concatenate([pool(log_spectra(batch)) for batch in batches])

    def standardised(self, averages: Floats) -> Floats:
        return cast(Floats, (averages - self.mean) / self.deviation)

    def predict(self, images: ImageSet) -> Prediction:
        self.require("weights")
        rows = self.standardised(self.averages(images))
        scores = softmax(rows @ self.weights + self.bias)
        return Prediction(scores, scores.max(axis=1), rows.astype(np.float32))

    def state(self) -> Tree:
        return {name: getattr(self, name) for name in ("mean", "deviation", "weights", "bias")}

    def restore(self, state: Tree) -> None:
        self.mean, self.deviation = state["mean"], state["deviation"]
        self.weights, self.bias = state["weights"], state["bias"]

    def trainable(self) -> int:
        return self.weights.size + self.bias.size


def log_spectra(pixels: Pixels) -> Floats:
    """ln(|DCT| + FLOOR) of gray value and colour differences: (B, N, N, 3) bytes to (B, 3, N, N)."""
    from scipy.fft import dctn

    colours = (pixels.astype(np.float64) / 127.5 - 1) @ COLOUR.T
    spectra = dctn(colours.transpose(0, 3, 1, 2), axes=(2, 3), norm="ortho")
    return cast(Floats, np.log(np.abs(spectra) + FLOOR))


class Pooling:
    """Averages of a spectrum over rings, rays and blocks.

    Args:
        size: N, side of the images; with fewer than 16 px the blocks are single coefficients.
    """

    def __init__(self, size: int) -> None:
        u, v = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
        rings = np.minimum(np.hypot(u, v).astype(np.int64), size - 1)  # the corner beyond is one ring
        rays = np.minimum((np.arctan2(u, v) / (np.pi / 2) * RAYS).astype(np.int64), RAYS - 1)
        blocks = (u * BLOCKS // size) * BLOCKS + v * BLOCKS // size
        self.matrix = np.concatenate([mean_matrix(groups) for groups in (rings, rays, blocks)], axis=1)

    def __call__(self, spectra: Floats) -> Floats:
        """(B, C, N, N) to (B, C x averages)."""
        flat = spectra.reshape(*spectra.shape[:2], -1) @ self.matrix
        return cast(Floats, flat.reshape(len(spectra), -1))


def mean_matrix(groups: NDArray[np.int64]) -> Floats:
    """(N x N, G) weights that average the members of each of G non-empty groups, given as numbers (N, N)."""
    _, member = np.unique(groups.ravel(), return_inverse=True)
    weights = np.zeros((groups.size, member.max() + 1))
    weights[np.arange(groups.size), member] = 1
    return cast(Floats, weights / weights.sum(axis=0))
