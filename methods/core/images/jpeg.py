"""JPEG as an image operation, by Pillow."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from datasets.types import Pixels


def through_jpeg(image: Pixels, quality: int) -> Pixels:
    """An image (H, W, 3) through a JPEG file and back, with chroma at half resolution."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file))
