"""How much faster an epoch is from decoded pixels than from image files: `python -m tests.speed.decode_once`.

Both sides give the same float tensors in [-1, 1] of the same 128-px PNG files in batches of the same size, shuffled:

- ours: the images of a folder data set, decoded by the loader before the first epoch, in the batches that methods
  get, in one process with as many threads as the reference has workers;
- reference: Pillow, centre crop, ToTensor and Normalize of torchvision behind a DataLoader whose workers persist.

Epochs of both take turns after a first one that is not counted, so that a busy machine slows both down. What counts is
the median of the ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import CenterCrop, Compose, Normalize, ToTensor

from datasets.console import console
from datasets.folder.dataset import Folder
from datasets.mini.photographs import SEEN_CONTENTS, photograph_array
from datasets.pixels.cache import ENVIRONMENT
from datasets.settings import DataSettings
from datasets.types import ImageSet
from methods.core.device import choose
from methods.core.run import Run
from tests.datasets.own_images import DESCRIPTION

SIDE = 128  # of the images, in pixels
Epoch = Callable[[int], Iterator[tuple[Tensor, Tensor]]]  # number -> batches of images (B, 3, S, S) and rows (B,)


@dataclass(frozen=True)
class Rates:
    """Images per second, an entry a repeat, and how many images an epoch had."""

    images: int
    ours: Sequence[float]
    reference: Sequence[float]

    @property
    def ratio(self) -> float:
        """Median over the repeats of ours over reference."""
        return statistics.median(mine / other for mine, other in zip(self.ours, self.reference, strict=True))


def photographs(folder: Path, count: int) -> ImageSet:
    """Write crops of photographs as PNG files and open them as training images: `count` of them in two classes.

    The files of an image lie at `folder / "images" / id`.
    """
    rng = np.random.default_rng(0)
    sources = [photograph_array(name) for name in SEEN_CONTENTS]
    few = {"val/real": 1, "val/first": 1, "test/real": 1, "test/first": 1, "test/second": 1}
    for place, files in {"train/real": count - count // 2, "train/first": count // 2, **few}.items():
        (folder / "images" / place).mkdir(parents=True)
        for number in range(files):
            source = sources[number % len(sources)]
            top, left = (int(rng.integers(size - SIDE + 1)) for size in source.shape[:2])
            crop = Image.fromarray(source[top : top + SIDE, left : left + SIDE])
            crop.save(folder / "images" / place / f"{number:05d}.png")
    (folder / "photographs.yaml").write_text(DESCRIPTION, encoding="utf-8")
    return Folder(folder / "photographs.yaml", DataSettings(image_size=SIDE)).split("only").train


def our_epochs(train: ImageSet, batch: int) -> Epoch:
    """Batches as methods get them."""
    batches = Run(seed=0, device=choose("cpu")).batches(train, "shuffled", size=batch)
    return lambda number: ((found.images, found.index) for found in batches.epoch(number))


class PngFiles(Dataset[tuple[Tensor, int]]):
    """Files that are decoded whenever they are asked for, with their positions."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        half = (0.5, 0.5, 0.5)
        self.transform = Compose([CenterCrop(SIDE), ToTensor(), Normalize(half, half)])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[position]) as image:
            return self.transform(image.convert("RGB")), position


def reference_epochs(paths: Sequence[Path], batch: int, workers: int) -> Epoch:
    """Batches of a DataLoader whose workers live as long as the result."""
    order = torch.Generator().manual_seed(0)
    loader = DataLoader(
        PngFiles(paths), batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0, generator=order
    )
    return lambda number: iter(loader)


def paths_of(train: ImageSet, folder: Path) -> list[Path]:
    return [folder / "images" / name for name in train.ids.tolist()]


def rate(epoch: Epoch, number: int, images: int) -> float:
    """Images per second of one epoch.

    Raises:
        RuntimeError: it has not each image once.
    """
    started = time.perf_counter()
    rows = [index for _, index in epoch(number)]
    seconds = time.perf_counter() - started
    if torch.cat(rows).sort().values.tolist() != list(range(images)):
        raise RuntimeError("an epoch must have every image once")
    return images / seconds


def measure(folder: Path, count: int, batch: int, workers: int, repeats: int) -> Rates:
    """Let epochs of both sides take turns.

    Args:
        folder: an empty one, for the files and the decoded pixels.
        count: training images.
        batch: images of a batch.
        workers: processes of the reference.
        repeats: epochs of each side that are counted.
    """
    with mock.patch.dict(os.environ, {ENVIRONMENT: str(folder / "cache")}):
        train = photographs(folder, count)
    ours, reference = our_epochs(train, batch), reference_epochs(paths_of(train, folder), batch, workers)
    rates = [(rate(ours, number, count), rate(reference, number, count)) for number in range(repeats + 1)]
    return Rates(count, [mine for mine, _ in rates[1:]], [other for _, other in rates[1:]])


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m tests.speed.decode_once", description=__doc__)
    words.add_argument("--images", type=int, default=1200, help="of an epoch (default: 1200)")
    words.add_argument("--batch", type=int, default=120, help="images of a batch (default: 120)")
    words.add_argument("--workers", type=int, default=2, help="processes of the DataLoader (default: 2)")
    words.add_argument("--threads", type=int, help="of ours (default: as many as workers)")
    words.add_argument("--repeats", type=int, default=5, help="epochs of each side that are counted (default: 5)")
    options = words.parse_args()
    torch.set_num_threads(options.threads or max(1, options.workers))
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(Path(folder), options.images, options.batch, options.workers, options.repeats)
    console.print(f"{rates.images:,} PNG files of {SIDE} px, median of {options.repeats} epochs of each side, in turns")
    for title, values in (
        ("decoded once", rates.ours),
        (f"Pillow + DataLoader, {options.workers} workers", rates.reference),
    ):
        low, middle, high = min(values), statistics.median(values), max(values)
        console.print(f"{title:32} {middle:9,.0f} images/s  ({low:,.0f} to {high:,.0f})")
    console.print(f"{'ratio':32} {rates.ratio:9.1f}")


if __name__ == "__main__":
    main()
