"""PRNU: one noise pattern per generator, as with camera sensors.

Paper: Marra, Gragnaniello, Verdoliva, Poggi, "Do GANs leave artificial fingerprints?", MIPR 2019,
https://arxiv.org/abs/1812.11842. It has no official code.
Code read: polimi-ispl/prnu-python (the camera toolbox) and RUB-SysSec/GANDCTAnalysis
(baselines/prnu.py, the same functions as a baseline for generated images).

An image's residual is what a denoiser takes away, R = X - f(X); a class's fingerprint is the mean of
its training residuals; an image belongs to the class whose fingerprint correlates best with R.
Nothing is optimised and nothing is drawn at random: one pass over the training images.

Kept: mean of residuals, normalised correlation; denoiser and gray weights of the toolbox, since no code
says which ones the paper used. The variant `toolbox` is the camera method that GANDCTAnalysis uses:
maximum-likelihood weighting, and residuals cleaned of everything periodic. It is no default, because
up-sampling leaves exactly such patterns.
Changed: at most as many wavelet levels as the image size allows (the toolbox waits for an error that
PyWavelets no longer raises); a channel without saturated pixels is never masked in the weighting (the
toolbox masks its texture when another channel is saturated); an empty residual correlates with nothing.

Images have to keep their geometry: a class whose images were rescaled from different sizes has no
common pattern. Nor have real images of many cameras: the pattern of class "real" is noise, and real
images look unknown. That is a limit of the method, and is left as it is.

Numbers: sigma, levels and all constants from prnu-python. The variant `searched` picks sigma by validation
accuracy, as GANDCTAnalysis does on a finer grid of lower values.
Checkpoint policy: none, there is one pass. Confidence: largest correlation, never read on training
images, whose own share in the mean is 1/sqrt(n). Scores: correlations in [-1, 1].
Cost: no steps, but one pass over the training images for every candidate of sigma; 30 images cost 0.44 of
a Base step with 30 images (width 16, one thread, 64 px; 0.39 at 128 px), with `toolbox` 0.48. Judging costs
as much (`toolbox`: 0.62). The wavelet transform runs on the processor, whatever the device.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import Annotated, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from datasets.errors import UserError
from datasets.types import ImageSet, Pixels
from methods.core.images.residual import Real, fourier_wiener, to_gray, useful_levels, wavelet_residual, zero_mean_total
from methods.core.method import Floats, Method, Prediction, Task
from methods.core.registry import register
from methods.core.settings import Settings
from methods.core.state import Tree

BATCH = 64  # images at a time: a few megabytes of residuals, which stay near the processor
EMPTY = 1e-3  # gray levels: a residual of this root mean square is rounding noise
DARKEST_SATURATED = 250  # prnu-python: a maximum below it means that nothing is saturated
TRUSTED = 252  # prnu-python: intensities above it count less and less


class PrnuConfig(Settings):
    """Settings of residuals and fingerprints."""

    # prnu-python: noise of the denoiser, in gray levels; of several candidates validation accuracy picks one
    sigmas: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(5.0,), min_length=1)
    levels: int = Field(default=4, ge=1)  # prnu-python: of the wavelet transform; fewer for small images
    colour: Literal["gray", "rgb"] = "gray"  # prnu-python: one residual, or one per channel
    fingerprint: Literal["mean", "likelihood"] = "mean"  # Marra et al.; prnu-python weighs by intensity
    zero_mean: bool = False  # prnu-python: take out sub-lattice, row and column means
    fourier_wiener: bool = False  # prnu-python: flatten spectral peaks
    images_per_class: int | None = Field(default=None, ge=1)  # ours: the first ones; None: all
    spectrum: Literal[0, 8, 16] = 0  # side of the pooled log spectrum that is appended to the feature


@register("prnu")
class Prnu(Method):
    """Mean noise residual of every class, compared by normalised correlation."""

    kind = "attribution"
    title = "PRNU"
    paper = "Marra et al., MIPR 2019, https://arxiv.org/abs/1812.11842"
    Config = PrnuConfig
    PRESETS = {"smoke": {}, "quick": {}, "standard": {}}  # one pass is cheap on every machine
    VARIANTS = {
        "toolbox": {"fingerprint": "likelihood", "zero_mean": True, "fourier_wiener": True},
        "searched": {"sigmas": (0.8, 2.0, 5.0)},
    }

    config: PrnuConfig

    # -- fingerprints --------------------------------------------------------------------------------

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        """One pass over the training images for every candidate of sigma; the validation set picks one."""
        self.task, best = Task.of(train), Best()
        self.run.track(best=best)
        train = first_of_each_class(train, self.config.images_per_class)
        steps = min(math.ceil(len(train) / BATCH), self.run.settings.max_steps or len(train))
        for candidate in self.run.epochs(len(self.config.sigmas), steps):
            self.sigma = self.config.sigmas[candidate]
            self.adopt(self.clean(self.estimate(train, steps)))
            accuracy = float((self.predict(val).scores.argmax(axis=1) == val.labels).mean())
            self.run.record(sigma=self.sigma, val_accuracy=accuracy)
            best.offer(accuracy, self.state())
        self.restore(best.state)

    def estimate(self, train: ImageSet, steps: int) -> Floats:
        """Fingerprints (K, 3, H, W) before cleaning; residuals are added up and none is kept."""
        sums = RunningSums(self.task.num_classes, self.task.image_size, self.config.fingerprint)
        for step, batch in enumerate(islice(self.run.sweep(train, BATCH), steps)):
            pixels = in_main_memory(batch)
            sums.add(self.residuals(pixels), pixels, train.labels[step * BATCH : (step + 1) * BATCH])
            self.run.log()
        return sums.estimate()

    def adopt(self, fingerprints: Real) -> None:
        """Take cleaned fingerprints (K, C, H, W) for use."""
        self.fingerprints = fingerprints.astype(np.float64)
        self.directions = unit_rows(self.fingerprints)

    # -- residuals -----------------------------------------------------------------------------------

    def residuals(self, pixels: Pixels) -> NDArray[np.float32]:
        """Noise of every channel, (B, 3, H, W), of bytes (B, 3, H, W)."""
        return wavelet_residual(pixels, self.sigma, useful_levels(self.task.image_size, self.config.levels))

    def clean(self, stack: Real) -> Real:
        """Residuals or fingerprints (B, 3, H, W) to what is correlated, (B, C, H, W)."""
        if self.config.colour == "gray":
            stack = to_gray(stack)
        if self.config.zero_mean:
            stack = zero_mean_total(stack)
        return fourier_wiener(stack) if self.config.fourier_wiener else stack

    # -- judging -------------------------------------------------------------------------------------

    def predict(self, images: ImageSet) -> Prediction:
        """Raises UserError when the images have another size than the fingerprints."""
        self.require("fingerprints")
        if images.image_size != self.task.image_size:
            sizes = f"{images.image_size}-px images with fingerprints of {self.task.image_size} px"
            raise UserError(f"{self.name} cannot compare {sizes}; fit it again on images of that size")
        found = [self.correlated(in_main_memory(batch)) for batch in self.run.sweep(images, BATCH)]
        scores = np.concatenate([scores for scores, _ in found])
        features = np.concatenate([features for _, features in found])
        return Prediction(scores, scores.max(axis=1), features)

    def correlated(self, pixels: Pixels) -> tuple[Floats, NDArray[np.float32]]:
        """Correlations (B, K) and features (B, K [+ spectrum^2]) of bytes (B, 3, H, W)."""
        residuals = self.clean(self.residuals(pixels))
        residuals[residuals.std(axis=(1, 2, 3)) < EMPTY] = 0
        scores = unit_rows(residuals) @ self.directions.T
        features = scores * math.sqrt(self.directions.shape[1])  # unrelated: mean 0, variance about 1
        if self.config.spectrum:
            features = np.concatenate([features, log_spectrum(residuals, self.config.spectrum)], axis=1)
        return scores, features.astype(np.float32)

    # -- keeping -------------------------------------------------------------------------------------

    def state(self) -> Tree:
        return {"fingerprints": self.fingerprints, "sigma": self.sigma}

    def restore(self, state: Tree) -> None:
        self.sigma = float(state["sigma"])
        self.adopt(state["fingerprints"])

    def trainable(self) -> int:
        return self.fingerprints.size


class Best:
    """The candidate with the highest accuracy so far, the first of equals."""

    def __init__(self) -> None:
        self.accuracy, self.state = -1.0, cast(Tree, None)

    def offer(self, accuracy: float, state: Tree) -> None:
        if accuracy > self.accuracy:
            self.accuracy, self.state = accuracy, state

    def state_dict(self) -> Tree:
        return {"accuracy": self.accuracy, "state": self.state}

    def load_state_dict(self, state: Tree) -> None:
        self.accuracy, self.state = state["accuracy"], state["state"]


class RunningSums:
    """Sums over the images seen so far, from which all fingerprints can be estimated at any time.

    mean: sum R / n. likelihood: sum R I / (1 + sum (g(I) s)^2), with the image I on a scale of 0..1, its
    trusted part g(I) and s = 0 at saturated pixels.
    """

    def __init__(self, num_classes: int, image_size: int, kind: Literal["mean", "likelihood"]) -> None:
        shape = (num_classes, 3, image_size, image_size)
        self._kind = kind
        self._numerator, self._denominator = np.zeros(shape), np.zeros(shape)

    def add(self, residuals: NDArray[np.float32], pixels: Pixels, labels: NDArray[np.int64]) -> None:
        """Add residuals of images, both (B, 3, H, W), with their classes (B,)."""
        signal: Real = residuals
        weights: Real = np.ones_like(residuals)
        if self._kind == "likelihood":
            signal = residuals * (pixels.astype(np.float32) / 255)
            weights = np.square(TRUST[pixels] * unsaturated(pixels))
        for label in np.unique(labels):
            rows = labels == label
            self._numerator[label] += signal[rows].sum(axis=0, dtype=np.float64)
            self._denominator[label] += weights[rows].sum(axis=0, dtype=np.float64)

    def estimate(self) -> Floats:
        """(K, 3, H, W); 0 for a class without images."""
        if self._kind == "likelihood":
            return self._numerator / (self._denominator + 1)
        return self._numerator / np.maximum(self._denominator, 1)


def _trust() -> Floats:
    intensity = np.arange(256)
    bright = np.exp(-np.square(intensity - TRUSTED) / 6)
    return np.where(intensity < TRUSTED, intensity / TRUSTED, bright)


TRUST = _trust()  # weight of every 8-bit intensity: proportional to it, and falling off near saturation


def unsaturated(pixels: Pixels) -> NDArray[np.bool_]:
    """Where bytes (B, 3, H, W) are not saturated: below their channel's maximum, or without an equal neighbour.

    Neighbours are the four adjacent pixels and, as in the toolbox, wrap round at the border.
    """
    peak = pixels.max(axis=(-2, -1), keepdims=True)
    same_below = pixels == np.roll(pixels, -1, axis=-2)
    same_right = pixels == np.roll(pixels, -1, axis=-1)
    has_equal = same_below | np.roll(same_below, 1, axis=-2) | same_right | np.roll(same_right, 1, axis=-1)
    return cast("NDArray[np.bool_]", ~((peak > DARKEST_SATURATED) & (pixels == peak) & has_equal))


def unit_rows(stack: Real) -> Floats:
    """Flatten (B, ...) to (B, D), centre and scale every row to length 1; a constant row becomes 0.

    The product of two such rows is their normalised cross-correlation.
    """
    rows = stack.reshape(len(stack), -1).astype(np.float64)
    mean = rows.mean(axis=1, keepdims=True)
    rows -= mean
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    flat = length <= 1e-9 * np.abs(mean) * math.sqrt(rows.shape[1])
    return np.where(flat, 0.0, rows / np.where(flat, 1.0, length))


def log_spectrum(residuals: Real, side: int) -> Floats:
    """Log magnitude of the Fourier transform, averaged over channels and a side x side grid: (B, side^2)."""
    magnitude = np.abs(np.fft.fft2(residuals, norm="ortho"))
    count, channels, height, width = residuals.shape
    tiles = np.log(np.maximum(magnitude, EMPTY)).reshape(
        count, channels, side, height // side, side, width // side
    )  # fmt: skip
    return cast(Floats, tiles.mean(axis=(1, 3, 5)).reshape(count, side * side))


def first_of_each_class(images: ImageSet, count: int | None) -> ImageSet:
    """At most `count` images of every class, the first ones in data-set order."""
    if count is None:
        return images
    rows = [np.flatnonzero(images.labels == label)[:count] for label in range(len(images.classes))]
    return images.take(np.sort(np.concatenate(rows)))


def in_main_memory(batch: Tensor) -> Pixels:
    return cast(Pixels, batch.cpu().numpy())
