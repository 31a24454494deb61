"""Decode ahead of time: say what it takes, do it, say what was odd."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from rich.table import Table
from rich.text import Text

from datasets.checks.pixels import passed_line
from datasets.commands.options import DataOptions, add_data_options
from datasets.console import console, say
from datasets.core.command import Command
from datasets.core.split_list import split_list
from datasets.files.dataset import FileDataset
from datasets.pixels.store import Report, Unreadable
from datasets.types import Dataset


@dataclass(frozen=True)
class PrepareOptions(DataOptions):
    """Which splits, and what becomes of images that cannot be read."""

    splits: str | None
    unreadable: Unreadable


class Prepare(Command[PrepareOptions]):
    """Decoding ahead of time."""

    description = "Decode images ahead of time. Give a preset's sizes to get ready for that preset alone."
    options = PrepareOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_data_options(parser)
        parser.add_argument("--splits", help="such as 1, 1-5, split1 or names (default: all)")
        parser.add_argument("--unreadable", choices=get_args(Unreadable), default="refuse",
                            help="what becomes of images that cannot be read (default: refuse)")  # fmt: skip

    def run(self, options: PrepareOptions) -> int:
        dataset = options.request().open()
        prepare(dataset, split_list(options.splits, dataset) or list(dataset.extra_splits), options.unreadable)
        return 0


def prepare(dataset: Dataset, splits: Sequence[str], unreadable: Unreadable = "refuse") -> Report | None:
    """Decode the images of some splits; those that are decoded already cost nothing, so a stopped run goes on.

    Args:
        unreadable: "refuse" stops at the end with a list, "skip" does without them from now on.

    Returns:
        What became of the images; None for a data set that is not made of files.

    Raises:
        UserError: the disk is too small, or images are unreadable and that is refused.
    """
    if not isinstance(dataset, FileDataset):
        for split in splits:
            dataset.split(split)
        say(f"{dataset.title}: {', '.join(splits)} ready")
        return None
    need = dataset.need(splits)
    say(str(need))
    need.check()
    report = dataset.prepare(unreadable, splits)
    if dataset.passed_over:
        say(f"passed over, {passed_line(dataset.passed_over)}; check says of which classes")
    kept = report.images - report.decoded
    say(f"{report.images:,} images ready: {report.decoded:,} decoded now, {kept:,} before")
    if report.flagged:
        console.print(_odd_files(report.flagged))
    if report.skipped:
        say(f"{len(report.skipped):,} unreadable images are left out:")
        for name, reason in sorted(report.skipped.items()):
            say(f"  {name}: {reason}")
    return report


def _odd_files(flagged: Mapping[str, Sequence[str]]) -> Table:
    table = Table("odd files", "images", "such as", box=None)
    for flag, names in sorted(flagged.items()):
        table.add_row(flag, f"{len(names):,}", Text(min(names)))
    return table
