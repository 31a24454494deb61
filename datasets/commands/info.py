"""What a data set holds, for a first look: nothing is decoded but for a picture."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from datasets.checks.pixels import passed_line
from datasets.commands.options import DataOptions, add_data_options
from datasets.console import console, say
from datasets.core.command import Command
from datasets.files.dataset import FileDataset
from datasets.files.listing import ROLES, Listing
from datasets.files.parts import parts_of
from datasets.settings import DataSettings
from datasets.splits import UNKNOWN_GROUPS
from datasets.types import Dataset

# Their licence is not stated: they may be looked at where they are installed, not in a picture to be kept.
NOT_SHOWN = frozenset({"motorcycle"})


@dataclass(frozen=True)
class InfoOptions(DataOptions):
    """What is shown of the data set."""

    split: str | None
    picture: Path | None


class Info(Command[InfoOptions]):
    """Counts, and a picture if one is wanted."""

    description = "Show splits, classes and counts."
    options = InfoOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_data_options(parser)
        parser.add_argument("--split", help="the split to show in full (default: the first)")
        parser.add_argument("--picture", type=Path, metavar="PNG", help="also draw one row of images per class")

    def run(self, options: InfoOptions) -> int:
        request = options.request()
        show_info(request.open(), request.settings, options.split, options.picture)
        return 0


def show_info(dataset: Dataset, settings: DataSettings, split: str | None, picture: Path | None) -> None:
    """Splits with their counts, then every class of one split.

    Args:
        split: the one to show in full; None takes the first.
        picture: PNG to draw.

    Raises:
        UserError: there is no such split.
    """
    name = split or dataset.all_splits[0]
    parts = parts_of(dataset, name)
    say(f"{dataset.title}, {_recipe(dataset)}, {settings.image_size} px")
    console.print(overview(dataset))
    console.print(class_table(name, parts))
    if isinstance(dataset, FileDataset) and dataset.passed_over:
        say(f"passed over, {passed_line(dataset.passed_over)}; check says of which classes")
    if picture is not None:
        from datasets.commands.contact_sheet import draw  # matplotlib, for pictures alone

        say(f"picture: {draw(dataset.split(name), picture, leave_out=NOT_SHOWN)}")


def _recipe(dataset: Dataset) -> str:
    """The recipe follows from the pixels, for which a first look does not wait."""
    recipe = dataset.known_fingerprint if isinstance(dataset, FileDataset) else dataset.fingerprint
    return "not decoded yet" if recipe is None else f"recipe {recipe[:12]}"


def overview(dataset: Dataset) -> Table:
    """One row per split: classes and images by part, of all that the lists name."""
    table = Table("split", "known", *ROLES, *UNKNOWN_GROUPS, box=None)
    for name in dataset.all_splits:
        parts = parts_of(dataset, name)
        counts = [str(len(parts[role].names)) for role in ROLES]
        unknown = [f"{len(parts[group].names)} in {len(parts[group].classes)}" for group in UNKNOWN_GROUPS]
        table.add_row(name, str(len(parts["test"].classes)), *counts, *unknown)
    return table


def class_table(name: str, parts: Mapping[str, Listing]) -> Table:
    """One row per class: images by part."""
    table = Table("class", *parts, title=name, title_justify="left", box=None)
    classes = list(dict.fromkeys(label for listing in parts.values() for label in listing.classes))
    for label in classes:
        table.add_row(Text(label), *(_count(listing, label) for listing in parts.values()))
    return table


def _count(listing: Listing, name: str) -> str:
    if name not in listing.classes:
        return ""
    return str(int(np.count_nonzero(listing.labels == listing.classes.index(name))))
