"""Decode ahead of time: say what it takes, do it, say what was odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from datasets.console import console
from datasets.files.dataset import FileDataset
from datasets.pixels.store import Choice, Report
from datasets.types import Dataset


def prepare(dataset: Dataset, splits: Sequence[str], unreadable: Choice = "refuse") -> Report | None:
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
        console.print(f"{dataset.title}: {', '.join(splits)} ready")
        return None
    need = dataset.need(splits)
    console.print(str(need), markup=False)
    need.check()
    report = dataset.prepare(unreadable, splits)
    kept = report.images - report.decoded
    console.print(f"{report.images:,} images ready: {report.decoded:,} decoded now, {kept:,} before")
    if report.flagged:
        console.print(_odd_files(report.flagged))
    if report.skipped:
        console.print(f"{len(report.skipped):,} unreadable images are left out:")
        for name, reason in sorted(report.skipped.items()):
            console.print(f"  {name}: {reason}", markup=False)
    return report


def _odd_files(flagged: Mapping[str, Sequence[str]]) -> Table:
    table = Table("odd files", "images", "such as", box=None)
    for flag, names in sorted(flagged.items()):
        table.add_row(flag, f"{len(names):,}", Text(min(names)))
    return table
