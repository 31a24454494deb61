"""Decode any number of image files in bounded memory, all cores at work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from joblib import Parallel, delayed

from datasets.pixels.decode import Decoded, UnreadableImage, decode

ALONE = 256  # fewer images are decoded sooner than other processes are started
CHUNK = 64  # images that a process decodes at a time


def decoded_blocks(paths: Sequence[Path], side: int, size: int) -> Iterator[list[Decoded | str]]:
    """Images in blocks, in the given order.

    Args:
        paths: image files.
        side: width and height of the results, in pixels.
        size: images of a block, and so of what memory holds.

    Yields:
        For every file of a block its pixels, or in a few words why there are none.
    """
    with Parallel(n_jobs=1 if len(paths) < ALONE else -1) as pool:
        for start in range(0, len(paths), size):
            block = paths[start : start + size]
            chunks = [block[first : first + CHUNK] for first in range(0, len(block), CHUNK)]
            parts: list[list[Decoded | str]] = pool(delayed(_decoded)(chunk, side) for chunk in chunks)
            yield [image for part in parts for image in part]


def _decoded(paths: Sequence[Path], side: int) -> list[Decoded | str]:
    images: list[Decoded | str] = []
    for path in paths:
        try:
            images.append(decode(path, side))
        except UnreadableImage as reason:
            images.append(str(reason))
    return images
