"""Decode any number of image files in bounded memory, all cores at work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from datasets.core.workers import chunk_by_chunk
from datasets.pixels.decode import Decoded, decoded


def decoded_blocks(paths: Sequence[Path], side: int, size: int) -> Iterator[list[Decoded | str]]:
    """Images in blocks, in the given order.

    Args:
        paths: image files.
        side: width and height of the results, in pixels.
        size: images per block, and so what memory holds.

    Yields:
        For every file of a block its pixels, or in a few words why there are none.
    """
    for start in range(0, len(paths), size):
        parts = chunk_by_chunk(partial(_decoded, side=side), paths[start : start + size], among=len(paths))
        yield [image for part in parts for image in part]


def _decoded(paths: Sequence[Path], side: int) -> list[Decoded | str]:
    return list(decoded(paths, side))
