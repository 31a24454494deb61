"""The law by which crops are drawn, the same for real images and for what generators re-synthesise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.mini.photographs import CROP, Role, Zone, load_photograph, zones
from datasets.seeds import seed_of

LARGEST_SCALE = 2.0  # a crop covers at most twice its side in the photograph, and never leaves its zone


def draw_boxes(content: str, role: Role | None, stream: str, count: int) -> NDArray[np.int64]:
    """Where the first `count` crops of a stream lie, in the zone of a role or (None) anywhere.

    A longer list starts with the shorter one, so the number of images per class is a free setting.

    Returns:
        (count, 4): left, top, side in pixels of the photograph, and whether the crop is mirrored.
    """
    width, height = load_photograph(content).size
    zone = zones(width, height)[role] if role else Zone(0, 0, width, height)
    uniform = np.random.default_rng(seed_of("mini", content, role or "anywhere", stream)).random((count, 4))
    largest = min(LARGEST_SCALE, zone.shorter_side / CROP)
    side = np.floor(CROP * largest ** uniform[:, 0]).astype(np.int64)
    left = zone.left + np.floor(uniform[:, 1] * (zone.right - zone.left - side + 1)).astype(np.int64)
    top = zone.top + np.floor(uniform[:, 2] * (zone.bottom - zone.top - side + 1)).astype(np.int64)
    return np.stack([left, top, side, (uniform[:, 3] < 0.5).astype(np.int64)], axis=1)


def cut(content: str, boxes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The crops themselves, resized to CROP x CROP with an antialiased bicubic filter: (N, CROP, CROP, 3)."""
    photograph = load_photograph(content)
    crops = np.empty((len(boxes), CROP, CROP, 3), dtype=np.uint8)
    for crop, (left, top, side, mirrored) in zip(crops, boxes.tolist(), strict=True):
        image = photograph.resize((CROP, CROP), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        crop[:] = np.asarray(image)[:, ::-1] if mirrored else np.asarray(image)
    return crops
