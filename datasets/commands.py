"""The commands of `python -m datasets`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from datasets.catalogue import DataRequest
from datasets.console import console
from datasets.contact_sheet import draw
from datasets.settings import DataSettings
from datasets.types import Dataset, ImageSet

# Their licence is not stated: they may be looked at where they are installed, not in a picture to be kept.
NOT_SHOWN = frozenset({"motorcycle"})


def parser() -> argparse.ArgumentParser:
    """Options of every command."""
    words = argparse.ArgumentParser(prog="python -m datasets", description="Look at a data set.")
    commands = words.add_subparsers(dest="command", required=True, metavar="COMMAND")
    info = commands.add_parser("info", help="what a data set holds", description="Show splits, classes and counts.")
    info.add_argument("--dataset", default="mini", help="mini, osma, or a YAML file of your own (default: mini)")
    info.add_argument("--data-root", type=Path, help="folder of the data set's files")
    info.add_argument("--split", help="the split to show in full (default: the first)")
    info.add_argument("--picture", type=Path, metavar="PNG", help="also draw one row of images a class")
    info.set_defaults(run=show_info)
    return words


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    status: int = options.run(options)
    return status


def show_info(options: argparse.Namespace) -> int:
    """Splits with their counts, then every class of one split."""
    settings = DataSettings(image_size=64) if options.dataset == "mini" else DataSettings()
    dataset = DataRequest(options.dataset, options.data_root, settings).open()
    name = options.split or dataset.split_names[0]
    split = dataset.split(name)
    parts = {"train": split.train, "val": split.val, "test": split.test, **split.unknown}
    console.print(f"{dataset.title}, recipe {dataset.fingerprint[:12]}, {split.train.image_size} px")
    console.print(overview(dataset))
    console.print(class_table(name, parts))
    if options.picture is not None:
        console.print(f"picture: {draw(split, options.picture, leave_out=NOT_SHOWN)}")
    return 0


def overview(dataset: Dataset) -> Table:
    """One row a split: classes and images by part."""
    table = Table("split", "known", "train", "val", "test", "seed", "arch", "dataset", box=None)
    for name in (*dataset.split_names, *dataset.extra_splits):
        split = dataset.split(name)
        unknown = [f"{len(split.unknown[g])} in {len(split.unknown[g].classes)}" for g in ("seed", "arch", "dataset")]
        counts = [str(len(images)) for images in (split.train, split.val, split.test)]
        table.add_row(name, str(len(split.train.classes)), *counts, *unknown)
    return table


def class_table(name: str, parts: dict[str, ImageSet]) -> Table:
    """One row a class: images by part, sources of the real class."""
    table = Table("class", *parts, title=name, title_justify="left", box=None)
    classes = list(dict.fromkeys(label for images in parts.values() for label in images.classes))
    for label in classes:
        table.add_row(label, *(_count(images, label) for images in parts.values()))
    return table


def _count(images: ImageSet, name: str) -> str:
    if name not in images.classes:
        return ""
    return str(int(np.count_nonzero(images.labels == images.classes.index(name))))
