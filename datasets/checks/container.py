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
        phases: the same as logarithms for borders at each of the eight places, for columns and then for rows; empty
            for images without contrast or of less than two blocks.
    """

    extension: str
    format: str
    width: int
    height: int
    mode: str
    jpeg: tuple[int, ...]
    grid: float
    phases: tuple[float, ...] = ()


def look_at(path: Path) -> Container:
    """Read a file's header, and its pixels for the grid alone. Unreadable files give a container of format ""."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and of large images
        try:
            with Image.open(path, formats=tuple(sorted(set(FORMATS.values())))) as image:
                width, height, mode = image.width, image.height, image.mode
                jpeg = _jpeg(image)
                grey = _grey(image)
                grid = grid_strength(grey)
                return Container(path.suffix, image.format or "", width, height, mode, jpeg, grid, phase_excess(grey))
        except (UnidentifiedImageError, Image.DecompressionBombError, *DAMAGE):
            return Container(path.suffix, "", 0, 0, "", (), 0.0)


def _jpeg(image: Image.Image) -> tuple[int, ...]:
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return ()
    tables = [sum(table) for _, table in sorted(image.quantization.items())]
    luma, chroma = (*tables, 0, 0)[:2]
    return luma, chroma, JpegImagePlugin.get_sampling(image), int("progressive" in image.info)


def _grey(image: Image.Image) -> NDArray[np.float64]:
    """The part of an image that is searched for blocks; empty if it cannot be had."""
    if image.width * image.height > MAX_PIXELS:
        return np.empty((0, 0))
    try:
        grey = image.convert("L").crop((0, 0, min(image.width, LARGEST_LOOK), min(image.height, LARGEST_LOOK)))
    except DAMAGE:  # a header without all of its pixels
        return np.empty((0, 0))
    return np.asarray(grey, dtype=np.float64)


def grid_strength(grey: NDArray[np.float64]) -> float:
    """Differences of neighbours across columns and rows 7|8, 15|16, … over those across 3|4, 11|12, …, less 1.

    Networks that double their size leave borders of period 2 and 4, which are in both; JPEG alone is in the first.
    Source of the idea: Fan and de Queiroz, IEEE TIP 2003.

    Args:
        grey: (H, W).
    """
    shares = []
    for lines in (grey, grey.T) if grey.size else ():
        steps = np.abs(np.diff(lines, axis=1)).mean(axis=0)
        across, within = steps[BLOCK - 1 :: BLOCK], steps[BLOCK // 2 - 1 :: BLOCK]
        if len(across) and within.mean() > 0:
            shares.append(across.mean() / within.mean() - 1)
    return float(np.mean(shares)) if shares else 0.0


def phase_excess(grey: NDArray[np.float64]) -> tuple[float, ...]:
    """Logarithms of the differences of neighbours at each phase of eight over those half a block further.

    Columns first, then rows: (16,); empty where one of the differences is zero or missing.

    Args:
        grey: (H, W).
    """
    if min(grey.shape) < 2 * BLOCK:
        return ()
    excess: list[float] = []
    for lines in (grey, grey.T):
        steps = np.abs(np.diff(lines, axis=1)).mean(axis=0)
        means = np.array([steps[phase::BLOCK].mean() for phase in range(BLOCK)])
        if means.min() == 0:
            return ()
        excess += np.log(means / np.roll(means, BLOCK // 2)).tolist()
    return tuple(excess)
