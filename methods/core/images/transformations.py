"""The 170 image transformations whose traces DNA-Det first teaches its network to tell apart.

Paper: Yang, Huang, Cao, Li, Li, "Deepfake Network Architecture Attribution", AAAI 2022,
https://arxiv.org/abs/2202.13843. Code read: ICTMCG/DNA-Det (data/transforms.py).

Filters follow OpenCV (positions of samples, borders, kernels) and agree with it to within one grey
level per pass; JPEG is Pillow's, bit by bit that of OpenCV. Blur, resampling and noise work on whole
batches, on the images' device; JPEG and the median, compiled code for one image, run in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import accumulate
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.types import Pixels
from methods.core.images.jpeg import through_jpeg

Filter = Literal["nearest", "bilinear", "bicubic", "area", "lanczos4"]
Matrix = NDArray[np.float64]

QUALITIES = tuple(range(30, 100, 3))
# The second quality of a double JPEG, in the order of the first.
SECOND_QUALITIES = (
    39, 99, 36, 93, 60, 75, 81, 39, 63, 69, 60, 87, 90, 48, 81, 75, 72, 78, 54, 33, 81, 30, 36, 99,
)  # fmt: skip
KERNELS = tuple(range(3, 30, 2))  # of Gaussian and median blur, in pixels
FILTERS: tuple[Filter, ...] = ("nearest", "bilinear", "bicubic", "area", "lanczos4")
PERCENTAGES = tuple(range(15, 91, 5))  # of the side, down to which resampling goes before it comes back
VARIANCES = tuple(range(10, 50, 3))  # of additive noise, in squared grey levels


class Family(Protocol):
    """Transformations of one kind, numbered from 0."""

    def __len__(self) -> int: ...

    def __call__(self, pixels: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
        """Bytes (B, 3, N, N) to bytes (B, 3, N, N); image b goes through transformation `which[b]`."""
        ...


class Transformations:
    """All transformations for images of one size, numbered family by family.

    With every value of the grids these are 170: JPEG from 0, double JPEG from 24, Gaussian blur from 48,
    median blur from 62, resampling from 76 (filter by filter), noise from 156.

    Args:
        size: side N of the square images.
        device: where the images are.
        every: take every so many values of each grid (each filter's percentages count as one grid); 4 leaves 44.
        workers: threads for JPEG and median.
    """

    def __init__(self, size: int, device: torch.device, every: int = 1, workers: int = 1) -> None:
        doubles = list(zip(QUALITIES, SECOND_QUALITIES, strict=True))[::every]
        kernels = KERNELS[::every]
        sides = [(kind, size * percent // 100) for kind in FILTERS for percent in PERCENTAGES[::every]]
        down = [resize_matrix(kind, size, side) for kind, side in sides]
        up = [resize_matrix(kind, side, size) for kind, side in sides]
        self.families: dict[str, Family] = {
            "jpeg": Jpeg([(quality,) for quality in QUALITIES[::every]], workers),
            "double jpeg": Jpeg(doubles, workers),
            "gaussian blur": Separable([[blur_matrix(kernel, size) for kernel in kernels]], device),
            "median blur": MedianBlur(kernels, workers),
            "resampling": Separable([down, up], device),
            "noise": Noise(VARIANCES[::every], device),
        }
        self._starts = [0, *accumulate(len(family) for family in self.families.values())]

    def __len__(self) -> int:
        return self._starts[-1]

    def __call__(self, pixels: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Bytes (B, 3, N, N) to bytes (B, 3, N, N); image b goes through transformation `labels[b]`.

        Only noise draws from the generator.
        """
        result = torch.empty_like(pixels)
        for family, start in zip(self.families.values(), self._starts[:-1], strict=True):
            rows = ((labels >= start) & (labels < start + len(family))).nonzero().squeeze(1)
            if len(rows):
                result[rows] = family(pixels[rows], labels[rows] - start, generator)
        return result


# -- families that work on batches -----------------------------------------------------------------------


class Separable:
    """Linear filters Y = A X A' of every channel; several passes follow each other, rounded to bytes after each.

    Args:
        passes: for every pass one matrix per transformation, each at most N rows and columns.
    """

    def __init__(self, passes: Sequence[Sequence[Matrix]], device: torch.device) -> None:
        self._passes = [_stacked(matrices).to(device) for matrices in passes]

    def __len__(self) -> int:
        return len(self._passes[0])

    def __call__(self, pixels: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
        values = pixels.float()
        for matrices in self._passes:
            chosen = matrices[which][:, None]
            values = (chosen @ values @ chosen.transpose(2, 3)).round_().clamp_(0, 255)
        return values.to(torch.uint8)


def _stacked(matrices: Sequence[Matrix]) -> Tensor:
    """(M, N, N), filled up with zeros: a smaller image lies in the upper left corner."""
    side = max(max(matrix.shape) for matrix in matrices)
    stack = np.zeros((len(matrices), side, side), dtype=np.float32)
    for place, matrix in zip(stack, matrices, strict=True):
        place[: matrix.shape[0], : matrix.shape[1]] = matrix
    return torch.from_numpy(stack)


class Noise:
    """White Gaussian noise, independent in every channel."""

    def __init__(self, variances: Sequence[int], device: torch.device) -> None:
        self._deviations = torch.tensor(variances, dtype=torch.float32, device=device).sqrt()

    def __len__(self) -> int:
        return len(self._deviations)

    def __call__(self, pixels: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.randn(pixels.shape, generator=generator, device=pixels.device)
        noisy = pixels + self._deviations[which][:, None, None, None] * drawn
        return noisy.round_().clamp_(0, 255).to(torch.uint8)


# -- families that work on single images -----------------------------------------------------------------


class Jpeg:
    """JPEG at one quality after another."""

    def __init__(self, qualities: Sequence[tuple[int, ...]], workers: int) -> None:
        self._qualities, self._workers = qualities, workers

    def __len__(self) -> int:
        return len(self._qualities)

    def __call__(self, pixels: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
        return _one_by_one(jpeg, pixels, [self._qualities[position] for position in which.tolist()], self._workers)


class MedianBlur:
    """Median of a square of odd side, every channel for itself."""

    def __init__(self, kernels: Sequence[int], workers: int) -> None:
        self._kernels, self._workers = kernels, workers

    def __len__(self) -> int:
        return len(self._kernels)

    def __call__(self, pixels: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
        return _one_by_one(median_blur, pixels, [self._kernels[position] for position in which.tolist()], self._workers)


def _one_by_one(change: Callable[..., Pixels], pixels: Tensor, values: Iterable[object], workers: int) -> Tensor:
    """Apply `change(image, value)` to every image (H, W, 3), in threads."""
    images = pixels.permute(0, 2, 3, 1).cpu().numpy()
    with ThreadPoolExecutor(workers) as pool:
        changed = np.stack(list(pool.map(change, images, values)))
    return torch.from_numpy(changed).to(pixels.device).permute(0, 3, 1, 2)


def jpeg(image: Pixels, qualities: Sequence[int]) -> Pixels:
    """An image (H, W, 3) after JPEG at each of the qualities."""
    return reduce(through_jpeg, qualities, image)


def median_blur(image: Pixels, kernel: int) -> Pixels:
    """An image (H, W, 3) after a median over kernel x kernel pixels; borders are repeated outwards."""
    from skimage.filters import rank

    radius, square = kernel // 2, np.ones((kernel, kernel), dtype=np.uint8)
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    channels = [rank.median(channel, square) for channel in np.moveaxis(padded, 2, 0)]  # type: ignore[no-untyped-call]
    return np.stack(channels, axis=2)[radius:-radius, radius:-radius]


# -- filters as matrices ---------------------------------------------------------------------------------


def blur_matrix(kernel: int, size: int) -> Matrix:
    """(size, size) Gaussian blur of odd width `kernel`; borders mirror the image without repeating its edge.

    The deviation follows OpenCV's rule, 0.3 ((kernel - 1) / 2 - 1) + 0.8.
    """
    radius = kernel // 2
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / (0.3 * (radius - 1) + 0.8)) ** 2)
    columns = np.abs(np.arange(size)[:, None] + offsets)
    return _scattered(size - 1 - np.abs(size - 1 - columns), np.tile(weights / weights.sum(), (size, 1)), size)


def resize_matrix(kind: Filter, source: int, target: int) -> Matrix:
    """(target, source) interpolation without antialiasing, as OpenCV computes it; borders are repeated outwards."""
    scale, pixel = source / target, np.arange(target)
    left = pixel * source // target
    if kind == "nearest":
        return _scattered(left[:, None], np.ones((target, 1)), source)
    if kind == "area" and scale > 1:
        edges = np.arange(source)
        stop = np.minimum((pixel[:, None] + 1) * scale, edges + 1)
        return np.maximum(stop - np.maximum(pixel[:, None] * scale, edges), 0) / scale
    position = np.asarray((pixel + 0.5) * scale - 0.5, dtype=np.float64)
    if kind == "area":  # enlarging: linear, with samples placed so that areas keep their borders
        position = left + np.clip(pixel + 1 - (left + 1) / scale, 0, None) % 1
    radius, weigh = _KERNELS[kind]
    columns = np.floor(position).astype(np.int64)[:, None] + np.arange(1 - radius, radius + 1)
    weights = weigh(position[:, None] - columns)
    return _scattered(columns.clip(0, source - 1), weights / weights.sum(axis=1, keepdims=True), source)


def _scattered(columns: NDArray[np.int64], weights: Matrix, width: int) -> Matrix:
    """A matrix whose row i holds weights[i] at columns[i]; equal columns add up."""
    matrix = np.zeros((len(columns), width))
    np.add.at(matrix, (np.arange(len(columns))[:, None], columns), weights)
    return matrix


def _linear(x: Matrix) -> Matrix:
    return np.clip(1 - np.abs(x), 0, None)


def _cubic(x: Matrix, a: float = -0.75) -> Matrix:
    """Keys' kernel with OpenCV's parameter."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _lanczos4(x: Matrix) -> Matrix:
    return np.where(np.abs(x) < 4, np.sinc(x) * np.sinc(x / 4), 0.0)


# Half the number of samples that a kernel looks at, and its weights by distance.
_KERNELS: dict[Filter, tuple[int, Callable[[Matrix], Matrix]]] = {
    "bilinear": (1, _linear),
    "area": (1, _linear),
    "bicubic": (2, _cubic),
    "lanczos4": (4, _lanczos4),
}
