"""`python -m benchmark similarity`: compare the views of methods, such as augmentation models."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmark.cells.presets import CHANGED, load_preset
from benchmark.cells.store import finished_cells_of
from benchmark.commands.options import RESULTS, add_device, add_results, make_folders, method_keys
from benchmark.studies.similarity import Comparison, similarity_table, write_matrices
from datasets.catalogue import DataRequest
from datasets.console import progress, say
from datasets.core.command import Command
from datasets.core.split_list import split_list
from datasets.errors import UserError
from methods.core.registry import load_registry


@dataclass(frozen=True)
class SimilarityOptions:
    """Which cells, on which images, and where the answers go."""

    results: Path
    methods: str | None
    splits: str | None
    dataset: str
    data_root: Path | None
    preset: str
    class_: str | None
    out: Path
    device: str


class CompareViews(Command[SimilarityOptions]):
    """How alike the views of methods are."""

    options = SimilarityOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_results(parser)
        add = parser.add_argument
        add("--leaderboards", type=Path, help=argparse.SUPPRESS)  # of no account; was always taken
        add("--methods", help="names, separated by commas (default: all that have views)")
        add("--splits", help="such as 1, 1-5 or split1 (default: all that are there)")
        add("--dataset", default="mini", help="the data that the cells were computed on (default: mini)")
        add("--data-root", type=Path, help="folder of the data set's files")
        add("--preset", default="quick", help="the preset that they were computed with (default: quick)")
        add("--class", dest="class_", metavar="NAME", help="a known class (default: all known test images)")
        add("--out", type=Path, default=RESULTS / "similarity", help="folder of the matrices")
        add_device(parser)

    def run(self, options: SimilarityOptions) -> int:
        """Compare the views of all methods that have some.

        Raises:
            UserError: no cell of the preset has views, or the data are others now.
        """
        cells = finished_cells_of(method_keys(options.methods), options.results)
        if CHANGED in options.preset:
            raise UserError(
                f"--preset {options.preset}: cells with changed data or run settings cannot be opened again"
            )
        preset = load_preset(options.preset, options.dataset, {})
        dataset = DataRequest(options.dataset, options.data_root, preset.data).open()
        place = dataset.name, preset.key
        chosen = [(folder, record) for folder, record in cells if (record.cell.dataset, record.cell.preset) == place]
        if options.splits is not None:
            splits = split_list(options.splits, dataset)
            chosen = [(folder, record) for folder, record in chosen if record.cell.split in splits]
        comparison = Comparison(dataset, options.class_, options.results.absolute(), options.device, load_registry())
        compared = (comparison.of(*stored) for stored in progress(chosen, len(chosen), "comparing views"))
        found = [entry for entry in compared if entry is not None]
        if not found:
            raise UserError(f"no finished cell of {dataset.name}, preset {preset.key}, has two views")
        make_folders(out=options.out)
        for path in write_matrices(found, options.out):
            say(f"written: {path}")
        say(similarity_table(found))
        return 0
