"""The shared base network of the open-set comparison: a DCT followed by a small convolutional classifier.

As in the official POSE code (ICTMCG/POSE, models/models.py); with width 64 and 128-px images the
parameter names and shapes are those of the released weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn

STAGES = 4  # each halves the side


class Dct2d(nn.Module):
    """Unnormalised type-II DCT of every channel over the whole image: X = C x C', C[k,n] = 2 cos(pi k (2n+1) / 2N).

    Equals `scipy.fft.dctn(type=2)`. The constant coefficient of a 128-px image reaches 65536, beyond
    half precision, so this is computed in float32 whatever the surroundings.
    """

    basis: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        k, n = torch.arange(size, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)
        basis = 2 * torch.cos(math.pi * k * (2 * n + 1) / (2 * size))
        self.register_buffer("basis", basis.float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, N, N) to (B, C, N, N)."""
        with torch.autocast(images.device.type, enabled=False):
            return self.basis @ images.float() @ self.basis.T


class ConvBlock(nn.Module):
    """Convolution with bias, normalisation, LeakyReLU(0.2).

    Args:
        inputs, outputs: numbers of channels.
        norm: normalisation layer of a number of channels.
        border: what lies around the image.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        norm: Callable[[int], nn.Module],
        border: Literal["zeros", "replicate"] = "zeros",
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, 1, padding_mode=border)
        self.main = nn.Sequential(convolution, norm(outputs), nn.LeakyReLU(0.2))

    @property
    def convolution(self) -> nn.Conv2d:
        return cast(nn.Conv2d, self.main[0])

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.main(x)
        return output


class SimpleTrunk(nn.Module):
    """The shared network up to its feature: eight convolutions in four halving stages, a linear feature layer.

    Args:
        image_size: side N of the square input, a multiple of 16.
        width: channels of the first stage; the feature has 8 x width values.
        input_data: "dct" transforms the pixels first, "img" takes them as they are.
        norm: normalisation layer of a number of channels.
    """

    def __init__(
        self,
        image_size: int,
        width: int = 64,
        input_data: Literal["dct", "img"] = "dct",
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        if image_size % 2**STAGES:
            raise ValueError(f"image side {image_size} is not a multiple of {2**STAGES}")
        channels = [3, *(width * 2**stage for stage in range(STAGES))]
        blocks: list[nn.Module] = []
        for inputs, outputs in zip(channels[:-1], channels[1:], strict=True):
            blocks += [ConvBlock(inputs, outputs, 4, 2, norm), ConvBlock(outputs, outputs, 3, 1, norm)]
        self.input = Dct2d(image_size) if input_data == "dct" else nn.Identity()
        self.main = nn.Sequential(*blocks)
        self.num_features = channels[-1]
        self.fc = nn.Linear(channels[-1] * (image_size // 2**STAGES) ** 2, self.num_features)

    def features(self, images: Tensor) -> Tensor:
        """(B, 8 x width) of images (B, 3, N, N) in [-1, 1]."""
        return self.embed(self.stages(self.input(images)))

    def stages(self, x: Tensor, first: int = 0, last: int = STAGES) -> Tensor:
        """Run stages first..last-1: from the output of stage `first` to that of stage `last`."""
        for block in self.main[2 * first : 2 * last]:
            x = block(x)
        return x

    def embed(self, x: Tensor) -> Tensor:
        """Feature (B, 8 x width) from the last stage's output."""
        feature: Tensor = self.fc(x.flatten(1))
        return feature


class SimpleCnn(SimpleTrunk):
    """The shared network: its trunk and a linear head.

    Args:
        num_classes: K.
        image_size, width, input_data, norm: as of the trunk.
        feature_tap: which feature is handed out in training: "post_dropout" is what the official
            code returns, because its dropout works in place; without effect in evaluation.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: int,
        width: int = 64,
        input_data: Literal["dct", "img"] = "dct",
        feature_tap: Literal["post_dropout", "pre_dropout"] = "post_dropout",
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__(image_size, width, input_data, norm)
        self.classification_head = nn.Sequential(nn.Dropout(0.2), nn.Linear(self.num_features, num_classes))
        self.feature_tap = feature_tap

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and features (B, 8 x width) of images (B, 3, N, N) in [-1, 1]."""
        return self.classify(self.features(images))

    def classify(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the feature as the tap hands it out."""
        dropout, linear = self.classification_head
        dropped = dropout(feature)
        return linear(dropped), dropped if self.feature_tap == "post_dropout" else feature
