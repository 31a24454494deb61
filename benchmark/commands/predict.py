"""`python -m benchmark predict`: attribute images of a user's own by a fitted cell."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmark.cells.path import CellPath
from benchmark.commands.options import AS_RUN_ALL, add_results
from benchmark.studies.predict import find_images, load_attributor, write_rows
from datasets.catalogue import DESCRIPTIONS
from datasets.console import progress, say
from datasets.core.command import Command, check_path
from datasets.core.text import shown
from datasets.errors import UserError
from datasets.files.walk import passed_text
from datasets.folder.plan import FolderPlan
from methods.core.registry import load_registry

NAMED = 5  # unreadable files that are named on the terminal; the CSV file names all


@dataclass(frozen=True)
class PredictOptions:
    """Which cell judges, what it judges, and where the answers go."""

    method: str
    dataset: str
    preset: str
    split: str
    seed: int
    images: Path
    out: Path
    results: Path
    device: str

    @property
    def cell(self) -> CellPath:
        """The cell that they mean.

        Raises:
            UserError: a word could not name a folder.
        """
        split = f"split{self.split}" if self.split.isdecimal() else self.split
        path = CellPath(_dataset_name(self.dataset), self.preset, self.method, split, self.seed)
        if (unsafe := path.unsafe) is not None:
            raise UserError(f"{shown(unsafe)} cannot name a cell; see python -m benchmark predict --help")
        return path


class Predict(Command[PredictOptions]):
    """Attribute a user's images."""

    options = PredictOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("--method", required=True, help="name, with its variant as name@variant")
        add("--dataset", default="mini", help="the data that it was fitted on (default: mini)")
        add("--preset", default="quick", help="the preset that it was fitted with (default: quick)")
        add("--split", default="1", help="such as 1 or split1 (default: 1)")
        add("--seed", type=int, default=0, help="of the cell (default: 0)")
        add("--images", type=Path, required=True, metavar="DIR", help="folder of images, with all below it")
        add("--out", type=Path, required=True, metavar="FILE.csv", help="one row for every image")
        add_results(parser)
        add("--device", default="auto", help=f"{AS_RUN_ALL} (default: auto)")

    def run(self, options: PredictOptions) -> int:
        """Say how many images were taken for known, for unknown, and could not be read.

        Raises:
            UserError: there is no such cell, there are no images, or the file cannot be written.
        """
        registry = load_registry()
        attributor = load_attributor(options.cell, options.results, options.device, registry, options.dataset)
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
            say(f"passed over, {passed_text(others)}")
        return 0


def _dataset_name(dataset: str) -> str:
    """The name under which results are kept."""
    if not dataset.lower().endswith(DESCRIPTIONS):
        return dataset
    check_path(Path(dataset), "--dataset")
    return FolderPlan(Path(dataset)).content.name
