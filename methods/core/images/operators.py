"""Linear operators on images: filters along one axis as matrices, and sampling between pixels."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


def on_both_axes(operator: Tensor, x: Tensor) -> Tensor:
    """M X M' for operators (B, N, N) and images (B, C, N, N)."""
    return operator[:, None] @ x @ operator[:, None].mT


def gaussian_matrix(size: int, sigma: float, border: Literal["nearest", "reflect"], truncate: float) -> Floats:
    """(size, size): filters one column."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(np.eye(size), sigma, axis=0, mode=border, truncate=truncate)


def block_matrix(size: int, blocks: int) -> Floats:
    """(size, size): replaces a column's values by the means of `blocks` stretches; rank `blocks`.

    A value belongs to the stretch that holds its middle; as in Pillow's box filter, a middle on the
    border of two counts to the first on the way down and takes the second's mean on the way up.
    """
    middles = (2 * np.arange(size) + 1) * blocks  # in units of 2 x size
    members = -(-middles // (2 * size)) - 1 == np.arange(blocks)[:, None]
    means: Floats = members / members.sum(axis=1, keepdims=True)
    return means[middles // (2 * size)]


def grid(x: Tensor) -> Tensor:
    """Pixel coordinates (N, N, 2) of square images as (column, row)."""
    along = torch.arange(x.shape[-1], dtype=x.dtype, device=x.device)
    return torch.stack(torch.meshgrid(along, along, indexing="xy"), dim=-1)


def sample(x: Tensor, positions: Tensor, *, whole: bool) -> Tensor:
    """Linear interpolation at positions (B, N, N, 2) in pixels.

    Beyond the border the image is mirrored about the outermost pixels' middles (`whole`) or edges.
    """
    size = x.shape[-1]
    relative = 2 * positions / (size - 1) - 1 if whole else (2 * positions + 1) / size - 1
    return F.grid_sample(x, relative, mode="bilinear", padding_mode="reflection", align_corners=whole)
