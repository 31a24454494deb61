"""The corruptions of ImageNet-C as random changes of training images, vectorised over a batch.

Source of types and strengths: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to
Common Corruptions and Perturbations", ICLR 2019, https://arxiv.org/abs/1903.12261, code
hendrycks/robustness (ImageNet-C/imagenet_c). Those are tuned for 224 px; here every length in pixels
is multiplied by size / 224, so that a small image loses as much as a large one.

Left out: frost, which needs photographs of ice that may not be passed on, and spatter, which needs
edge detection, distance transform and histogram equalisation of a computer-vision library; RepMix
holds glass blur, motion blur, zoom blur and snow out of training. JPEG is the one type that works
image by image, in threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from methods.core.images.jpeg import through_jpeg
from methods.core.images.operators import block_matrix, gaussian_matrix, grid, on_both_axes, sample

REFERENCE = 224  # side in pixels for which lengths are given
SEVERITIES = 5

# Position in the collection's list, which other code refers to.
KINDS = MappingProxyType({
    0: "gaussian noise", 1: "shot noise", 2: "impulse noise", 3: "defocus blur", 9: "fog", 10: "brightness",
    11: "contrast", 12: "elastic", 13: "pixelate", 14: "jpeg", 15: "speckle noise", 16: "gaussian blur", 18: "saturate",
})  # fmt: skip

# Strengths at severity 1..5; pixel values in [0, 1].
GAUSSIAN_NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation
SHOT_NOISE = (60.0, 25.0, 12.0, 5.0, 3.0)  # photons at full brightness
IMPULSE_NOISE = (0.03, 0.06, 0.09, 0.17, 0.27)  # share of values
SPECKLE_NOISE = (0.15, 0.2, 0.35, 0.45, 0.6)  # standard deviation relative to the value
GAUSSIAN_BLUR = (1, 2, 3, 4, 6)  # standard deviation, px
DEFOCUS_RADIUS = (3, 4, 6, 8, 10)  # px
DEFOCUS_EDGE = (0.1, 0.5, 0.5, 0.5, 0.5)  # standard deviation of the smoothed edge, px
FOG_AMOUNT = (1.5, 2.0, 2.5, 2.5, 3.0)
FOG_DECAY = (2.0, 2.0, 1.7, 1.5, 1.4)
BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
ELASTIC_AMPLITUDE = (488.0, 488.0, 12.2, 17.08, 29.28)  # multiplies the smoothed noise
ELASTIC_SIGMA = (170.8, 19.52, 2.44, 2.44, 2.44)  # smooths it, px
ELASTIC_JITTER = (24.4, 48.8, 4.88, 4.88, 4.88)  # of the three corners of the affine map, px
PIXELATE = (0.6, 0.5, 0.4, 0.3, 0.25)
JPEG_QUALITY = (25, 18, 15, 10, 7)
SATURATE_FACTOR = (0.3, 0.1, 2.0, 5.0, 20.0)
SATURATE_OFFSET = (0.0, 0.0, 0.0, 0.1, 0.2)

Floats = NDArray[np.float64]
Corruption = Callable[[Tensor, Tensor, torch.Generator], Tensor]


# -- corruptions -----------------------------------------------------------------------------------


class Corruptions:
    """Corrupts each image of a batch with some probability, by a random type at a random severity.

    Args:
        size: side of the square images, in pixels.
        device: where they live.
        probability: that an image is corrupted at all.
        max_severity: severities 1..max_severity are equally likely; at most 5.
        kinds: keys of `KINDS`, equally likely.

    Raises:
        ValueError: a kind or severity does not exist.
    """

    def __init__(
        self,
        size: int,
        device: torch.device,
        *,
        probability: float = 1.0,
        max_severity: int = SEVERITIES,
        kinds: Sequence[int] = tuple(KINDS),
    ) -> None:
        if not set(kinds) <= set(KINDS) or not 1 <= max_severity <= SEVERITIES:
            raise ValueError(f"no corruptions {[*kinds]} up to severity {max_severity}; there are {dict(KINDS)}")
        self.size, self.device, self.probability, self.max_severity = size, device, probability, max_severity
        self.kinds = tuple(kinds)
        scale = size / REFERENCE
        self._scale = scale
        # Linear operators along one axis, (5, size, size): a separable filter with its borders is M X M'.
        self._blur = self._stack(gaussian_matrix(size, s * scale, "nearest", 4.0) for s in GAUSSIAN_BLUR)
        self._wave = self._stack(gaussian_matrix(size, s * scale, "reflect", 3.0) for s in ELASTIC_SIGMA)
        self._blocks = self._stack(block_matrix(size, int(size * c)) for c in PIXELATE)
        self._disks = self._stack(disk(*shape, scale) for shape in zip(DEFOCUS_RADIUS, DEFOCUS_EDGE, strict=True))
        self._by_kind: dict[int, Corruption] = {
            0: gaussian_noise, 1: shot_noise, 2: impulse_noise, 3: self._defocus_blur, 9: fog, 10: brightness,
            11: contrast, 12: self._elastic, 13: self._pixelate, 14: jpeg, 15: speckle_noise, 16: self._gaussian_blur,
            18: saturate,
        }  # fmt: skip

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Bytes (B, 3, size, size) to bytes of the same shape; the generator lives on their device."""
        count = len(pixels)
        chance = torch.rand(count, generator=generator, device=self.device)
        position = torch.randint(len(self.kinds), (count,), generator=generator, device=self.device)
        severity = torch.randint(1, self.max_severity + 1, (count,), generator=generator, device=self.device)
        position[chance >= self.probability] = -1
        corrupted = pixels.clone()
        for at, kind in enumerate(self.kinds):
            rows = (position == at).nonzero()[:, 0]
            if len(rows):
                corrupted[rows] = self.apply(kind, pixels[rows], severity[rows], generator)
        return corrupted

    def apply(self, kind: int, pixels: Tensor, severity: Tensor, generator: torch.Generator) -> Tensor:
        """One type of corruption on bytes (B, 3, size, size) at severities (B,) in 1..5; clipped, then truncated."""
        values = self._by_kind[kind](pixels.float() / 255, severity - 1, generator)
        # 1/1000 of a grey level against the rounding of float32, which would cost a whole one.
        return (values.clamp(0, 1) * 255 + 1e-3).to(torch.uint8)

    def _stack(self, arrays: Iterable[Floats]) -> Tensor:
        return torch.from_numpy(np.stack([*arrays]).astype(np.float32)).to(self.device)

    def _gaussian_blur(self, x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
        return on_both_axes(self._blur[level], x)

    def _pixelate(self, x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
        return (on_both_axes(self._blocks[level], x) * 255).round() / 255

    def _defocus_blur(self, x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
        kernels = self._disks[level].repeat_interleave(x.shape[1], dim=0)[:, None]
        padded = F.pad(x, [kernels.shape[-1] // 2] * 4, mode="reflect").flatten(0, 1)
        return F.conv2d(padded[None], kernels, groups=len(kernels)).view_as(x)

    def _elastic(self, x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
        """A random affine map, then a random smooth displacement, each with linear interpolation."""
        warped = self._affine(x, level, generator)
        noise = torch.rand(len(x), 2, *x.shape[2:], generator=generator, device=x.device) * 2 - 1
        # White noise smoothed over `scale` times the length is 1 / scale times as strong, so that the
        # displacement shrinks with the image when the amplitude shrinks with its square.
        displacement = on_both_axes(self._wave[level], noise) * strength(ELASTIC_AMPLITUDE, level, x) * self._scale**2
        return sample(warped, grid(x) + displacement.permute(0, 2, 3, 1), whole=False)

    def _affine(self, x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
        """The affine map that takes three fixed points to places nearby."""
        centre, third = self.size // 2, self.size // 3
        corners = x.new_tensor([[third, third], [third, -third], [-third, -third]]) + centre
        jitter = torch.rand(len(x), 3, 2, generator=generator, device=x.device) * 2 - 1
        moved = corners + jitter * strength(ELASTIC_JITTER, level, x)[:, 0] * self._scale
        # An output pixel looks back to where it came from: [moved 1] T = corners.
        back = torch.linalg.solve(F.pad(moved, (0, 1), value=1.0), corners.expand_as(moved))
        return sample(x, F.pad(grid(x), (0, 1), value=1.0) @ back[:, None], whole=True)


def strength(values: Sequence[float], level: Tensor, x: Tensor) -> Tensor:
    """Every image's strength, (B, 1, 1, 1)."""
    return x.new_tensor(values)[level][:, None, None, None]


def gaussian_noise(x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    return x + strength(GAUSSIAN_NOISE, level, x) * normal_like(x, generator)


def shot_noise(x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    photons = strength(SHOT_NOISE, level, x)
    return torch.poisson(x * photons, generator=generator) / photons


def impulse_noise(x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    """Salt and pepper, equally likely, on single values rather than whole pixels."""
    share = strength(IMPULSE_NOISE, level, x)
    draw = torch.rand(x.shape, generator=generator, device=x.device)
    return torch.where(draw < share, (draw < share / 2).float(), x)


def speckle_noise(x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    return x + x * strength(SPECKLE_NOISE, level, x) * normal_like(x, generator)


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, device=x.device)


def brightness(x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    """A higher value in HSV; hue and saturation stay, so the channels of a pixel grow in proportion."""
    value = x.amax(dim=1, keepdim=True)
    raised = (value + strength(BRIGHTNESS, level, x)).clamp_max(1)
    return torch.where(value > 0, x * raised / value, raised)


def saturate(x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    """Another saturation in HSV; grey pixels have hue 0, so what is added to theirs is red."""
    value = x.amax(dim=1, keepdim=True)
    saturation = torch.where(value > 0, 1 - x.amin(dim=1, keepdim=True) / value, 0.0)
    factor, offset = strength(SATURATE_FACTOR, level, x), strength(SATURATE_OFFSET, level, x)
    wanted = (saturation * factor + offset).clamp(0, 1)
    red = x.new_tensor([0.0, 1.0, 1.0])[:, None, None] * value  # distance to the value at full saturation
    return value - wanted * torch.where(saturation > 0, (value - x) / saturation, red)


def contrast(x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    mean = x.mean(dim=(2, 3), keepdim=True)
    return mean + strength(CONTRAST, level, x) * (x - mean)


def fog(x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    amount, brightest = strength(FOG_AMOUNT, level, x), x.amax(dim=(1, 2, 3), keepdim=True)
    haze = plasma(x.shape[-1], strength(FOG_DECAY, level, x)[:, 0], generator)
    return (x + amount * haze[:, None]) * brightest / (brightest + amount)


def plasma(size: int, decay: Tensor, generator: torch.Generator) -> Tensor:
    """Cloudy height maps (B, size, size) in [0, 1] by the diamond-square algorithm on a torus.

    Args:
        size: side; a corner is cut from the map of the next power of two.
        decay: (B, 1, 1); the noise of a level is decay^2 times weaker than that of the level before.
    """
    side = 1 << (size - 1).bit_length()
    heights = torch.zeros(len(decay), side, side, device=decay.device)
    amplitude, step = torch.ones_like(decay), side

    def between(sums: Tensor) -> Tensor:
        noise = torch.rand(sums.shape, generator=generator, device=sums.device) * 2 - 1
        return sums / 4 + amplitude * noise

    while step > 1:
        half = step // 2
        corners = heights[:, ::step, ::step]
        pairs = corners + corners.roll(-1, dims=1)
        centres = between(pairs + pairs.roll(-1, dims=2))
        heights[:, half::step, half::step] = centres
        across = corners + corners.roll(-1, dims=2) + centres + centres.roll(1, dims=1)
        heights[:, ::step, half::step] = between(across)
        down = corners + corners.roll(-1, dims=1) + centres + centres.roll(1, dims=2)
        heights[:, half::step, ::step] = between(down)
        amplitude, step = amplitude / decay**2, half
    heights = heights - heights.amin(dim=(1, 2), keepdim=True)
    return (heights / heights.amax(dim=(1, 2), keepdim=True))[:, :size, :size]


def jpeg(x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    """Through a JPEG file and back, with as many threads as this process may use."""
    images = (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    qualities = [JPEG_QUALITY[position] for position in level.tolist()]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        decoded = np.stack([*pool.map(through_jpeg, images, qualities)])
    return torch.from_numpy(decoded).to(x.device).permute(0, 3, 1, 2).float() / 255


def disk(radius: int, edge: float, scale: float) -> Floats:
    """Kernel of a camera out of focus: a disk of `radius` with a smoothed edge, sum 1.

    The kernel for 224 px, an array of little squares, is laid over pixels that are 1 / scale times
    as wide; each gets what lies on it. All radii give the same shape, odd and square.
    """
    from scipy.ndimage import gaussian_filter

    reach = DEFOCUS_RADIUS[-1] + 2
    axis = np.arange(-reach, reach + 1)
    filled = (axis[:, None] ** 2 + axis**2 <= radius**2).astype(np.float64)
    kernel = gaussian_filter(filled / filled.sum(), edge, radius=1 if radius <= 8 else 2)
    pixel = np.arange(-math.ceil((reach + 0.5) * scale - 0.5), math.ceil((reach + 0.5) * scale - 0.5) + 1)[:, None]
    right = np.minimum((pixel + 0.5) / scale, axis + 0.5)
    left = np.maximum((pixel - 0.5) / scale, axis - 0.5)
    overlap = np.clip(right - left, 0, None)
    return overlap @ kernel @ overlap.T
