"""Decode again what is stored, to find what no stamp of a file can tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from datasets.core.workers import chunk_by_chunk
from datasets.pixels.decode import decoded
from datasets.pixels.digest import digest_of
from datasets.pixels.ledger import SKIPPED
from datasets.pixels.store import Files, PixelStore


def others_than_stored(store: PixelStore, files: Files) -> Iterator[tuple[str, bool]]:
    """Each image that is stored, and whether its file gives other pixels now. No pixels are written."""
    store.digest_rows(files)
    changed = set(store.changed(files))
    stored = store.stored(name for name in files if name not in changed)
    pairs = [(name, files[name], entry.digest) for name, entry in sorted(stored.items()) if entry.row != SKIPPED]
    for found in chunk_by_chunk(partial(_compared, store.side), pairs):
        yield from found


def _compared(side: int, images: Sequence[tuple[str, str, str]]) -> list[tuple[str, bool]]:
    """Of names, paths and digests."""
    again = decoded((Path(path) for _, path, _ in images), side)
    return [
        (name, isinstance(image, str) or digest_of(image.pixels.tobytes()) != digest)
        for (name, _, digest), image in zip(images, again, strict=True)
    ]
