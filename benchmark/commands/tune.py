"""`python -m benchmark tune`: search the settings of a preset on validation images."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.boards.tables import MISSING, markdown
from benchmark.cells.cell import Cell
from benchmark.cells.path import board_name
from benchmark.cells.plan import Planner
from benchmark.cells.presets import Preset, load_preset
from benchmark.cells.record import Record, read_record
from benchmark.cells.store import Store
from benchmark.commands.options import AS_RUN_ALL, LEADERBOARDS, RESULTS, add_device, job_count, make_folders, requested
from benchmark.running.missing import compute_missing
from benchmark.running.runner import Execution
from benchmark.studies.tuning import Trial, merged, searchable, trial_row, trials_of, with_choice
from datasets.catalogue import DataRequest
from datasets.console import say, show_rows
from datasets.core.command import Command
from datasets.core.partial import whole_file, write_whole
from datasets.core.split_list import number_list, split_list
from datasets.errors import UserError
from datasets.types import Dataset
from methods.core.registry import Registry, load_registry

LOG, PAGE = "tuning.csv", "tuning.md"
HEADERS = ["Method", "Trial", "Settings", "Validation accuracy", "Late gain", "Training s", "Chosen"]
NOTE = """# Search of the settings of preset {preset}

Made by `python -m benchmark tune`: {trials} trials for every method that declares a SEARCH; split {splits} of
{dataset}, seed {seeds}. The trial with the highest validation accuracy is chosen, the earlier one on a
tie; a variant that shares its method's preset counts in the mean. No figure of a test image is read. Late gain:
points of validation accuracy by which the last quarter of the epochs exceeds the quarter before; near zero, the
training has settled.

"""


@dataclass(frozen=True)
class TuneOptions:
    """Which methods, on what, and where the log goes."""

    methods: str | None
    trials: int
    dataset: str
    data_root: Path | None
    preset: str
    splits: str | None
    seeds: str
    device: str
    jobs: str
    results: Path
    out: Path | None


class Tune(Command[TuneOptions]):
    """A recorded search: a few trials of every method, judged on validation images alone."""

    options = TuneOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("--methods", help="names, separated by commas (default: all that declare a SEARCH)")
        add("--trials", type=int, default=3, help="candidates of each method (default: 3)")
        add("--dataset", default="mini", help=f"{AS_RUN_ALL} (default: mini)")
        add("--data-root", type=Path, help="folder of the data set's files")
        add("--preset", default="quick", help="the preset whose settings are searched (default: quick)")
        add("--splits", help="such as 1 or 1-5 (default: splits that no comparison counts, else the first)")
        add("--seeds", default="0", help="such as 0 or 0-2 (default: 0)")
        add_device(parser)
        add("--jobs", default="auto", help="cells side by side (default: auto)")
        add("--results", type=Path, default=RESULTS / "tuning", help="where trials are kept")
        add("--out", type=Path, help="folder of the log (default: that of the board)")

    def run(self, options: TuneOptions) -> int:
        """Run what is missing of every trial, then write and show the log; 1 if a trial failed.

        Raises:
            UserError: the request cannot be run.
        """
        if options.trials < 1:
            raise UserError(f"--trials {options.trials}: write a positive number")
        registry, preset = load_registry(), load_preset(options.preset, options.dataset, {})
        trials = [
            trial
            for key in rows_of(options.methods, registry)
            for trial in trials_of(registry.choose(key), options.trials)
        ]
        data = DataRequest(options.dataset, options.data_root, preset.data)
        dataset = data.open()
        splits, seeds = searched_splits(options.splits, dataset), number_list(options.seeds, "--seeds")
        planner = Planner(registry, dataset.name, dataset.fingerprint, preset)
        cells = planner.plan([trial.request for trial in trials], splits, seeds)
        out = options.out or LEADERBOARDS / board_name(dataset.name, preset.key)
        make_folders(results=options.results, out=out)
        jobs = job_count(options.jobs, options.device, preset)
        compute_missing(cells, dataset, Execution(data, options.results, options.device, jobs), registry)
        made = finished(trials, cells, Store(options.results))
        if made:
            log = with_choice(merged(out / LOG, [trial_row(trial, found) for trial, found in made]))
            show_rows("search", HEADERS, log_rows(log))
            for path in write_log(log, out, heading(options.trials, splits, seeds, dataset, preset)):
                say(f"written: {path}")
        return 0 if len(made) == len(trials) else 1


def rows_of(methods: str | None, registry: Registry) -> list[str]:
    """The rows to search.

    Raises:
        UserError: a method is unknown or declares nothing to search.
    """
    if methods is None:
        return searchable(registry)
    keys = requested(methods, None, registry)
    for key in keys:
        if not registry.choose(key).plugin.SEARCH:
            raise UserError(f"method '{key}' declares no SEARCH; leave it out, or declare one in its file")
    return keys


def searched_splits(text: str | None, dataset: Dataset) -> list[str]:
    """The splits asked for; by default those outside every comparison, where a data set has some."""
    return split_list(text, dataset) if text is not None else list(dataset.extra_splits or dataset.split_names[:1])


def finished(
    trials: Sequence[Trial], cells: Sequence[Cell], store: Store
) -> list[tuple[Trial, list[tuple[Path, Record]]]]:
    """The trials all of whose cells are there, with these cells."""
    of_row: dict[str, list[Cell]] = {}
    for cell in cells:
        of_row.setdefault(cell.key, []).append(cell)
    whole = [trial for trial in trials if all(store.done(cell) for cell in of_row[trial.request.key])]
    return [(trial, list(_records(of_row[trial.request.key], store))) for trial in whole]


def _records(cells: Sequence[Cell], store: Store) -> Iterator[tuple[Path, Record]]:
    for cell in cells:
        record = read_record(store.folder(cell))
        if record is not None:
            yield store.folder(cell), record


def heading(trials: int, splits: Sequence[str], seeds: Sequence[int], dataset: Dataset, preset: Preset) -> str:
    return NOTE.format(
        preset=preset.key, trials=trials, splits=", ".join(splits), dataset=dataset.title,
        seeds=", ".join(map(str, seeds)),
    )  # fmt: skip


def log_rows(log: pd.DataFrame) -> list[list[str]]:
    """The log as people read it."""
    return [
        [
            str(line["method"]),
            str(line["trial"]),
            ", ".join(f"{name} {value}" for name, value in json.loads(line["settings"]).items()),
            f"{line['val_accuracy']:.2%}",
            MISSING if math.isnan(line["late_gain"]) else f"{100 * line['late_gain']:+.1f}",
            f"{line['train_seconds']:.0f}",
            "yes" if line["chosen"] else "",
        ]
        for line in log.to_dict("records")
    ]


def write_log(log: pd.DataFrame, folder: Path, text: str) -> list[Path]:
    """The log as CSV for programs and as Markdown for people."""
    with whole_file(folder / LOG) as unfinished:
        log.to_csv(unfinished, index=False, lineterminator="\n")
    write_whole(folder / PAGE, f"{text}{markdown(log_rows(log), HEADERS)}\n")
    return [folder / LOG, folder / PAGE]
