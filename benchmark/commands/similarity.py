"""The command `python -m benchmark similarity`: its options, and what it writes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmark.cells.presets import CHANGED, load_preset
from benchmark.cells.store import Record
from benchmark.commands.options import CHECKOUT
from benchmark.running.watch import say
from benchmark.studies.similarity import similarity_of, similarity_table, write_matrices
from datasets.catalogue import DataRequest
from datasets.console import progress
from datasets.core.split_list import split_list
from datasets.errors import UserError
from methods.core.registry import load_registry

Cells = Sequence[tuple[Path, Record]]


def add_options(words: argparse.ArgumentParser) -> None:
    """Which cells, on which images, and where the answers go."""
    words.add_argument("--methods", help="names, separated by commas (default: all that have views)")
    words.add_argument("--splits", help="such as 1, 1-5 or split1 (default: all that are there)")
    words.add_argument("--dataset", default="mini", help="the data that the cells were computed on (default: mini)")
    words.add_argument("--data-root", type=Path, help="folder of the data set's files")
    words.add_argument("--preset", default="quick", help="the preset that they were computed with (default: quick)")
    words.add_argument("--class", dest="class_", metavar="NAME", help="a known class (default: all known test images)")
    words.add_argument("--out", type=Path, default=CHECKOUT / "results" / "similarity", help="folder of the matrices")
    words.add_argument("--device", default="auto", help="as of run_all.py (default: auto)")


def similarity(cells: Cells, options: argparse.Namespace) -> int:
    """Compare the views of all methods that have some.

    Raises:
        UserError: no cell of the preset has views, or the data are others now.
    """
    if CHANGED in options.preset:
        raise UserError(f"--preset {options.preset}: cells with changed data or run settings cannot be opened again")
    preset = load_preset(options.preset, options.dataset, {})
    data = DataRequest(options.dataset, options.data_root, preset.data)
    dataset, registry = data.open(), load_registry()
    name, place = dataset.name, (dataset.name, preset.key)
    chosen = [(folder, record) for folder, record in cells if (record.cell.dataset, record.cell.preset) == place]
    if options.splits is not None:
        splits = split_list(options.splits, dataset)
        chosen = [(folder, record) for folder, record in chosen if record.cell.split in splits]
    results = options.results.absolute()
    compared = (
        similarity_of(folder, record, data, options.class_, results, options.device, registry)
        for folder, record in progress(chosen, len(chosen), "comparing views")
    )
    found = [entry for entry in compared if entry is not None]
    if not found:
        raise UserError(f"no finished cell of {name}, preset {preset.key}, has two views")
    for path in write_matrices(found, options.out):
        say(f"written: {path}")
    say(similarity_table(found))
    return 0
