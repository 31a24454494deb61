"""What digests of pixels cost: `python -m tests.speed.pixel_digest`.

Many small images are decoded into a store with digests and without, in turns, so that a busy machine slows both down;
what counts is the median of the ratios. Then a data set of as many images is opened again, whose pixels are decoded:
its files are looked at, and digest and fingerprint of the set are computed from the ledger.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from datasets.console import console
from datasets.folder.dataset import Folder
from datasets.pixels import store as storing
from datasets.pixels.cache import ENVIRONMENT
from datasets.pixels.store import PixelStore
from datasets.settings import DataSettings
from tests.datasets.own_images import DESCRIPTION

SIDE = 32  # of the images, in pixels; the smaller, the less decoding there is to hide the digest
FEW = ("val/real", "val/first", "test/real", "test/first", "test/second")


@dataclass(frozen=True)
class Costs:
    """Seconds, an entry a repeat, and the number of training images."""

    images: int
    with_digest: Sequence[float]
    without: Sequence[float]
    again: Sequence[float]

    @property
    def ratio(self) -> float:
        """Median over the repeats of decoding with digests over decoding without."""
        return statistics.median(mine / other for mine, other in zip(self.with_digest, self.without, strict=True))


def write_images(folder: Path, count: int) -> dict[str, str]:
    """PNG files of noise: `count` for training in two classes, one in every other place; the paths of the former."""
    rng = np.random.default_rng(0)
    paths = {}
    for place, files in {"train/real": count - count // 2, "train/first": count // 2, **dict.fromkeys(FEW, 1)}.items():
        (folder / "images" / place).mkdir(parents=True)
        for number in range(files):
            path = folder / "images" / place / f"{number:06d}.png"
            Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path, compress_level=1)
            if place not in FEW:
                paths[f"{place}/{path.name}"] = str(path)
    (folder / "own.yaml").write_text(DESCRIPTION, encoding="utf-8")
    return paths


def decoding(folder: Path, files: dict[str, str], digests: bool) -> float:
    """Seconds to decode the images in one process into an empty store."""
    none = mock.patch.object(storing, "digest_of", return_value="-")
    # What is patched here does not reach other processes.
    alone = mock.patch("datasets.core.workers.ALONE", len(files) + 1)
    with tempfile.TemporaryDirectory(dir=folder) as cache, mock.patch.dict(os.environ, {ENVIRONMENT: cache}), alone:
        store, started = PixelStore(folder / "images", SIDE), time.perf_counter()
        if digests:
            store.ensure(files)
        else:
            with none:
                store.ensure(files)
        return time.perf_counter() - started


def opening(folder: Path) -> float:
    """Seconds from nothing to the fingerprint."""
    started = time.perf_counter()
    fingerprint = Folder(folder / "own.yaml", DataSettings(image_size=SIDE)).fingerprint
    seconds = time.perf_counter() - started
    if len(fingerprint) != 64:
        raise RuntimeError("a fingerprint must be a SHA-256")
    return seconds


def measure(folder: Path, count: int, repeats: int) -> Costs:
    """Let both ways of decoding take turns, after a turn that is not counted; then open the data set again."""
    files = write_images(folder, count)
    turns = [(decoding(folder, files, True), decoding(folder, files, False)) for _ in range(repeats + 1)][1:]
    with mock.patch.dict(os.environ, {ENVIRONMENT: str(folder / "cache")}):
        opening(folder)
        again = [opening(folder) for _ in range(repeats)]
    return Costs(count, [mine for mine, _ in turns], [other for _, other in turns], again)


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m tests.speed.pixel_digest", description=__doc__)
    words.add_argument("--images", type=int, default=10_000, help="(default: 10,000)")
    words.add_argument("--repeats", type=int, default=5, help="of everything (default: 5)")
    options = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(Path(folder), options.images, options.repeats)
    console.print(f"{costs.images:,} PNG files of {SIDE} px, median of {options.repeats} turns, one process")
    for title, values in (
        ("decode with digests", costs.with_digest),
        ("decode without", costs.without),
        ("open again", costs.again),
    ):
        console.print(f"{title:22} {statistics.median(values):8.2f} s  ({min(values):.2f} to {max(values):.2f})")
    console.print(f"{'ratio of decoding':22} {costs.ratio:8.3f}")


if __name__ == "__main__":
    main()
