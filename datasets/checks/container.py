"""What an image file tells without its picture: extension, format, size, how its JPEG was written."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from datasets.pixels.decode import DAMAGE, FORMATS, MAX_PIXELS

BLOCK = 8  # side of the blocks that JPEG codes, in pixels
LARGEST_LOOK = 512  # side of the part of an image that is searched for blocks, in pixels


class Container(NamedTuple):
    """One file.

    Attributes:
        extension: with its dot, as it is written.
        format: by content, as Pillow names it; "" if it is no image.
        width, height: in pixels, before any cropping.
        mode: of the pixels, as Pillow names it.
        jpeg: sums of the quantisation tables, chroma subsampling, whether progressive; empty for other formats.
        grid: how much more neighbours differ across the borders of 8 x 8 blocks than within, less what borders of
            4 x 4 blocks explain; 0 without such borders. A PNG that once was a JPEG keeps it.
    """

    extension: str
    format: str
    width: int
    height: int
    mode: str
    jpeg: tuple[int, ...]
    grid: float


def look_at(path: Path) -> Container:
    """Read a file's header, and its pixels for the grid alone. Unreadable files give a container of format ""."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and of large images
        try:
            with Image.open(path, formats=tuple(sorted(set(FORMATS.values())))) as image:
                width, height, mode = image.width, image.height, image.mode
                jpeg = _jpeg(image)
                return Container(path.suffix, image.format or "", width, height, mode, jpeg, _grid_of(image))
        except (UnidentifiedImageError, Image.DecompressionBombError, *DAMAGE):
            return Container(path.suffix, "", 0, 0, "", (), 0.0)


def _jpeg(image: Image.Image) -> tuple[int, ...]:
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return ()
    tables = [sum(table) for _, table in sorted(image.quantization.items())]
    luma, chroma = (*tables, 0, 0)[:2]
    return luma, chroma, JpegImagePlugin.get_sampling(image), int("progressive" in image.info)


def _grid_of(image: Image.Image) -> float:
    if image.width * image.height > MAX_PIXELS:
        return 0.0
    try:
        grey = image.convert("L").crop((0, 0, min(image.width, LARGEST_LOOK), min(image.height, LARGEST_LOOK)))
    except DAMAGE:  # a header without all of its pixels
        return 0.0
    return grid_strength(np.asarray(grey, dtype=np.float64))


def grid_strength(grey: NDArray[np.float64]) -> float:
    """Differences of neighbours across columns and rows 7|8, 15|16, … over those across 3|4, 11|12, …, less 1.

    Networks that double their size leave borders of period 2 and 4, which are in both; JPEG alone is in the first.
    Source of the idea: Fan and de Queiroz, IEEE TIP 2003.

    Args:
        grey: (H, W).
    """
    shares = []
    for lines in (grey, grey.T):
        steps = np.abs(np.diff(lines, axis=1)).mean(axis=0)
        across, within = steps[BLOCK - 1 :: BLOCK], steps[BLOCK // 2 - 1 :: BLOCK]
        if len(across) and within.mean() > 0:
            shares.append(across.mean() / within.mean() - 1)
    return float(np.mean(shares)) if shares else 0.0
