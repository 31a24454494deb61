"""Small decoders whose up-sampling, normalisation and wiring follow well-known generator families.

Each maps a code (N, 27, 8, 8) to an image (N, 3, 64, 64) in about [-1, 1] with some 50 thousand
weights. They are stand-ins: a name says what the network is, `IMITATES` says which published family
has the same leading trait.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from datasets.mini.codes import CODE_CHANNELS

NOISE_SIDES = (16, 32, 64)  # one noise map per stage of a family that injects noise
NOISE_VALUES = sum(side * side for side in NOISE_SIDES)


class PixelNorm(nn.Module):
    """Divide every pixel's feature vector by its root mean square (ProGAN)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class FixedFilter(nn.Module):
    """A separable low-pass filter, applied per channel; `up` zeros are inserted first if `up` is 2."""

    taps: Tensor

    def __init__(self, taps: list[float], up: int = 1) -> None:
        super().__init__()
        kernel = torch.tensor(taps)
        self.up = up
        self.register_buffer("taps", kernel / kernel.sum() * up, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.up == 2:
            n, c, h, w = x.shape
            x = F.pad(x.reshape(n, c, h, 1, w, 1), (0, 1, 0, 0, 0, 1)).reshape(n, c, 2 * h, 2 * w)
        channels, width = x.shape[1], len(self.taps)
        before, after = (width - 1) // 2, width // 2
        x = F.pad(x, (before, after, before, after), mode="replicate" if self.up == 1 else "constant")
        rows = self.taps.reshape(1, 1, width, 1).expand(channels, 1, width, 1)
        return F.conv2d(F.conv2d(x, rows, groups=channels), rows.transpose(2, 3), groups=channels)


def windowed_sinc_taps(half_width: int = 3, beta: float = 4.0) -> list[float]:
    """Kaiser-windowed sinc with cut-off at the old Nyquist frequency: the ideal x2 up-sampler (StyleGAN3)."""
    count = 4 * half_width
    position = (torch.arange(count) - (count - 1) / 2) / 2
    window = torch.kaiser_window(count, periodic=False, beta=beta)
    return (torch.sinc(position) * window).tolist()


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def nearest() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="nearest")


def bilinear() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


class Decoder(nn.Module):
    """A stem at 8 x 8, three doubling stages, and a convolution to colour."""

    noisy = False

    def __init__(self, stage: Callable[[int, int], nn.Module], widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.stem = conv(CODE_CHANNELS, widths[0])
        self.stages = nn.ModuleList(stage(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.to_rgb = conv(widths[-1], 3)

    def forward(self, code: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.stem(code)
        for stage in self.stages:
            x = stage(x)
        return self.to_rgb(x)


def transposed_stage(inputs: int, outputs: int, kernel: int) -> nn.Module:
    up = nn.ConvTranspose2d(inputs, outputs, kernel, 2, kernel // 2 - 1 + kernel % 2, output_padding=kernel % 2)
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), up)


def pixelnorm_stage(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nearest(), conv(inputs, outputs), nn.LeakyReLU(0.2), PixelNorm(),
        conv(outputs, outputs), nn.LeakyReLU(0.2), PixelNorm(),
    )  # fmt: skip


class ResidualStage(nn.Module):
    """Pre-activation residual block with nearest up-sampling (SNGAN)."""

    def __init__(self, inputs: int, outputs: int, spectral: bool) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else nn.Identity()
        self.main = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nearest(), wrap(conv(inputs, outputs)),
            nn.BatchNorm2d(outputs), nn.ReLU(), wrap(conv(outputs, outputs)),
        )  # fmt: skip
        self.shortcut = nn.Sequential(nearest(), wrap(conv(inputs, outputs, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x) + self.shortcut(x)


class SelfAttention(nn.Module):
    """Non-local block with a learnt gate that starts closed (SAGAN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = conv(channels, channels // 4, 1), conv(channels, channels // 4, 1)
        self.value = conv(channels, channels, 1)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (f(x).flatten(2) for f in (self.query, self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=-1)
        return x + self.gate * (value @ weights.transpose(1, 2)).reshape(x.shape)


class AttentionDecoder(Decoder):
    """Residual stages with self-attention at 16 x 16."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__(partial(ResidualStage, spectral=False), widths)
        self.stages.insert(1, SelfAttention(widths[1]))


class NoiseStage(nn.Module):
    """Nearest up-sampling, convolution, blur, scaled noise, instance norm (StyleGAN)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Sequential(nearest(), conv(inputs, outputs), FixedFilter([1.0, 2.0, 1.0]))
        self.strength = nn.Parameter(torch.full((outputs, 1, 1), 0.1))
        self.norm = nn.InstanceNorm2d(outputs, affine=True)
        self.conv = conv(outputs, outputs)
        # Instance norm forgets absolute level; a 1x1 path keeps the colours of the code.
        self.level = nn.Sequential(bilinear(), conv(inputs, outputs, 1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        styled = self.norm(F.leaky_relu(self.up(x) + self.strength * noise, 0.2))
        return F.leaky_relu(self.conv(styled), 0.2) + self.level(x)


class NoiseDecoder(Decoder):
    """Adds one noise map per stage; `noise` is (N, NOISE_VALUES), standard normal."""

    noisy = True

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__(NoiseStage, widths)

    def forward(self, code: Tensor, noise: Tensor | None = None) -> Tensor:
        assert noise is not None, "a noisy family needs its noise"
        x, start = self.stem(code), 0
        for stage, side in zip(self.stages, NOISE_SIDES, strict=True):
            x = stage(x, noise[:, start : start + side * side].reshape(-1, 1, side, side))
            start += side * side
        return self.to_rgb(x)


class SkipDecoder(Decoder):
    """Every stage paints its own RGB, summed over bilinearly enlarged coarser ones (StyleGAN2)."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__(
            lambda a, b: nn.Sequential(bilinear(), conv(a, b), nn.LeakyReLU(0.2), conv(b, b), nn.LeakyReLU(0.2)),
            widths,
        )
        self.paint = nn.ModuleList(conv(width, 3, 1) for width in widths[:-1])
        self.enlarge = bilinear()

    def forward(self, code: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.stem(code)
        rgb = self.paint[0](x)
        painters = [*list(self.paint)[1:], self.to_rgb]
        for stage, painter in zip(self.stages, painters, strict=True):
            x = stage(x)
            rgb = self.enlarge(rgb) + painter(x)
        return rgb


def sinc_stage(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        FixedFilter(windowed_sinc_taps(), up=2), conv(inputs, outputs), nn.LeakyReLU(0.2),
        conv(outputs, outputs), nn.LeakyReLU(0.2),
    )  # fmt: skip


def shuffle_stage(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(conv(inputs, 4 * outputs), nn.PixelShuffle(2), nn.LeakyReLU(0.2))


def groupnorm_stage(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        bilinear(), conv(inputs, outputs), nn.GroupNorm(4, outputs), nn.SiLU(),
        conv(outputs, outputs), nn.GroupNorm(4, outputs), nn.SiLU(),
    )  # fmt: skip


FAMILIES: dict[str, Callable[[], Decoder]] = {
    "transposed4": lambda: Decoder(partial(transposed_stage, kernel=4), (40, 32, 24, 16)),
    "transposed5": lambda: Decoder(partial(transposed_stage, kernel=5), (36, 28, 20, 12)),
    "nearest_pixelnorm": lambda: Decoder(pixelnorm_stage, (44, 32, 24, 16)),
    "residual_spectral": lambda: Decoder(partial(ResidualStage, spectral=True), (44, 32, 24, 16)),
    "attention": lambda: AttentionDecoder((44, 32, 24, 16)),
    "blur_noise": lambda: NoiseDecoder((44, 32, 24, 16)),
    "skip_bilinear": lambda: SkipDecoder((44, 32, 24, 16)),
    "sinc": lambda: Decoder(sinc_stage, (44, 32, 24, 16)),
    "pixelshuffle": lambda: Decoder(shuffle_stage, (36, 20, 16, 12)),
    "bilinear_groupnorm": lambda: Decoder(groupnorm_stage, (44, 32, 24, 16)),
}
IMITATES: dict[str, str] = {
    "transposed4": "DCGAN",
    "transposed5": "MMDGAN",
    "nearest_pixelnorm": "ProGAN",
    "residual_spectral": "SNGAN",
    "attention": "SAGAN, BigGAN",
    "blur_noise": "StyleGAN",
    "skip_bilinear": "StyleGAN2",
    "sinc": "StyleGAN3",
    "pixelshuffle": "ESRGAN",
    "bilinear_groupnorm": "VAE",
}


def build(family: str) -> Decoder:
    """A fresh decoder of a family; its weights come from torch's global generator."""
    return FAMILIES[family]()


def fold_parametrizations(decoder: Decoder) -> Decoder:
    """Replace spectral normalisation by the weights it yields, which is what is stored and sampled."""
    for module in list(decoder.modules()):
        if is_parametrized(module, "weight"):
            remove_parametrizations(module, "weight")
    return decoder
