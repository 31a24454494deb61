"""The command `python -m benchmark predict`: its options, and what it says at the end."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.commands.options import CHECKOUT
from benchmark.running.watch import say
from benchmark.studies.predict import CellName, find_images, load_attributor, write_rows
from datasets.catalogue import DESCRIPTIONS
from datasets.console import progress
from datasets.folder.plan import FolderPlan
from methods.core.registry import load_registry

NAMED = 5  # unreadable files that are named on the terminal; the CSV file names all


def add_options(words: argparse.ArgumentParser) -> None:
    """Which cell judges, what it judges, and where the answers go."""
    words.add_argument("--method", required=True, help="name, with its variant as name@variant")
    words.add_argument("--dataset", default="mini", help="the data that it was fitted on (default: mini)")
    words.add_argument("--preset", default="quick", help="the preset that it was fitted with (default: quick)")
    words.add_argument("--split", default="1", help="such as 1 or split1 (default: 1)")
    words.add_argument("--seed", type=int, default=0, help="of the cell (default: 0)")
    words.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of images, with all below it")
    words.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="one row an image")
    words.add_argument("--results", type=Path, default=CHECKOUT / "results", help="folder of the cells")
    words.add_argument("--device", default="auto", help="as of run_all.py (default: auto)")


def predict(options: argparse.Namespace) -> int:
    """Attribute a user's images and say how many were taken for known, for unknown, and could not be read.

    Raises:
        UserError: there is no such cell, there are no images, or the file cannot be written.
    """
    split = f"split{options.split}" if options.split.isdecimal() else options.split
    name = CellName(_dataset_name(options.dataset), options.preset, options.method, split, options.seed)
    attributor = load_attributor(name, options.results, options.device, load_registry(), options.dataset)
    paths, others = find_images(options.images)
    root = options.images if options.images.is_dir() else options.images.parent
    unreadable, known = [], 0
    rows = write_rows(options.out, attributor.rows(paths, root))
    for path, _, _, is_known, reason in progress(rows, len(paths), f"attributing {len(paths):,} images"):
        unreadable += [f"{path}: {reason}"] if reason else []
        known += bool(is_known)
    judged = len(paths) - len(unreadable)
    counts = f"{known:,} known, {judged - known:,} unknown" if attributor.threshold is not None else "no threshold"
    say(f"{judged:,} images attributed ({counts}), {len(unreadable):,} unreadable: {options.out}")
    for line in unreadable[:NAMED]:
        say(f"unreadable: {line}")
    if len(unreadable) > NAMED:
        say(f"and {len(unreadable) - NAMED:,} more, see the column reason")
    if others:
        kinds = ", ".join(f"{count:,} {suffix or 'without extension'}" for suffix, count in sorted(others.items()))
        say(f"passed over, by extension: {kinds}")
    return 0


def _dataset_name(dataset: str) -> str:
    """The name under which results are kept."""
    return FolderPlan(Path(dataset)).content.name if dataset.lower().endswith(DESCRIPTIONS) else dataset
