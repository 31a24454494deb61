"""Random mirrors and crops of batches, every image for itself."""

from __future__ import annotations

import torch
from torch import Tensor


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Every image of (B, C, H, W) mirrored left to right with probability 1/2."""
    flipped = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    return torch.where(flipped[:, None, None, None], images.flip(-1), images)


def random_crop(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A square of its own from every image: (B, C, H, W) to (B, C, size, size)."""
    count, _, height, width = images.shape
    if (height, width) == (size, size):
        return images
    corner = torch.rand(2, count, generator=generator, device=images.device)
    along = torch.arange(size, device=images.device)
    rows = (corner[0] * (height - size + 1)).long()[:, None] + along
    columns = (corner[1] * (width - size + 1)).long()[:, None] + along
    image = torch.arange(count, device=images.device)[:, None, None]
    # Indices around the channel axis put it last.
    return images[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
