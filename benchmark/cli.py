"""The command line of `python run_all.py`: choose, plan, run, show the leaderboard."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from benchmark.cells import Cell, Planner, Request, choose_methods
from benchmark.config import Preset, load_preset, parse_overrides, preset_names
from benchmark.console import Watch, say, show_markdown, show_rows, warn
from benchmark.leaderboard import build_board, write_board
from benchmark.runner import BACKENDS, Execution, connect, default_jobs, run_plan
from benchmark.store import Store
from datasets.catalogue import DataRequest
from datasets.console import exit_status
from datasets.errors import UserError
from datasets.types import Dataset
from methods.core.device import choose
from methods.core.registry import Registry, discover

CHECKOUT = Path(__file__).parents[1]


def parser() -> argparse.ArgumentParser:
    """The options of run_all.py: a contract, to be added to and never renamed."""
    words = argparse.ArgumentParser(
        prog="python run_all.py",
        description="Compare attribution and open-set methods and write a leaderboard. "
        "Without options: every method on the embedded data set, preset quick.",
    )
    add = words.add_argument
    add("--methods", help="names, separated by commas, with variants as base@ce (default: all)")
    add("--splits", default=None, help="such as 1, 1-5, split1 or names (default: all five)")
    add("--seeds", default="0", help="such as 0, 0-2 or 0,3 (default: 0)")
    add("--dataset", default="mini", help="mini, osma, or a YAML file of your own (default: mini)")
    add("--data-root", type=Path, help="folder of the data set's files")
    add("--preset", default="quick", help=f"{', '.join(preset_names())} (default: quick)")
    add("--set", action="append", default=[], metavar="OWNER.KEY=VALUE", dest="overrides",
        help="change a setting of a method, of data or of run; makes a row of its own")  # fmt: skip
    add("--variant", help="name of the row that --set makes (default: custom-<hash>)")
    add("--ablation", help="run the rows of a study that a method declares")
    add("--device", default="auto", help="auto, or a device such as the first accelerator's name (default: auto)")
    add("--jobs", default="auto", help="cells side by side (default: auto)")
    add("--backend", default="loky", choices=BACKENDS, help="joblib back end (default: loky)")
    add("--scheduler", help="address of a running dask scheduler")
    add("--results", type=Path, default=CHECKOUT / "results", help="where cells are kept")
    add("--leaderboards", type=Path, default=CHECKOUT / "leaderboards", help="where boards are kept")
    add("--checkpoint", action="append", default=[], metavar="METHOD=DIR", help="score released weights")
    add("--force", action="store_true", help="compute finished cells again; the old ones are moved aside")
    add("--fail-fast", action="store_true", help="stop at the first failure")
    add("--list", action="store_true", help="show methods, variants and studies, then stop")
    add("--plan", action="store_true", help="show what would run, then stop")
    return words


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see `parser` for the options and the module for the exit status."""
    options = parser().parse_args(argv)
    registry = discover()
    for broken in registry.broken.values():
        warn(f"method '{broken.name}' is left out: {broken.path}: {broken.reason}")
    if options.list:
        return list_methods(registry)
    overrides = parse_overrides(options.overrides)
    preset = load_preset(options.preset, options.dataset, overrides, options.variant)
    keys = requested(options.methods, options.ablation, registry)
    requests = choose_methods(registry, keys, overrides, options.variant)
    choose(options.device)
    data = DataRequest(options.dataset, options.data_root, preset.data)
    dataset = data.open()
    splits, seeds = split_list(options.splits, dataset), number_list(options.seeds, "--seeds")
    cells = Planner(registry, dataset.name, dataset.fingerprint, preset).plan(requests, splits, seeds)
    store = Store(options.results)
    refuse_name_clash(cells, requests, store, options)
    if options.plan:
        return show_plan(cells, store)
    jobs = job_count(options.jobs, options.device, preset)
    execution = Execution(data, options.results, options.device, jobs, options.backend, options.fail_fast)
    connect(options.scheduler)
    return run(cells, dataset, preset, execution, registry, options)


def run(
    cells: list[Cell],
    dataset: Dataset,
    preset: Preset,
    execution: Execution,
    registry: Registry,
    options: argparse.Namespace,
) -> int:
    """Compute what is missing, write the board and show it; 1 if a cell failed."""
    store = Store(options.results)
    if options.force:
        for cell in cells:
            store.clear(cell)
            store.set_aside(cell)
    missing = [cell for cell in cells if not store.done(cell)]
    if missing:
        dataset.split(missing[0].split)  # decode once, here, before workers ask for it side by side
        side_by_side = f"{execution.jobs} side by side"
        say(f"{len(missing)} of {len(cells)} cells to compute, {side_by_side}; results in {options.results}")
        watch = Watch(missing, store)
        with watch.running():
            run_plan(missing, execution, registry, watch.told)
    board = build_board(dataset.name, preset.key, options.results, options.leaderboards)
    if board.entries:
        path = write_board(board, registry, options.leaderboards)
        show_markdown(path.read_text(encoding="utf-8"))
        say(f"leaderboard: {path}")
    done = sum(store.done(cell) for cell in cells)
    say(f"{done} of {len(cells)} cells done, {len(missing)} computed now" + _gap(len(cells) - done))
    return 0 if done == len(cells) else 1


def _gap(number: int) -> str:
    return f"; {number} failed, were skipped or were not reached: the same command tries them again" if number else ""


def requested(methods: str | None, ablation: str | None, registry: Registry) -> list[str]:
    """The method keys that are asked for; by default all.

    Raises:
        UserError: an unknown study or an empty list.
    """
    if ablation is not None:
        if ablation not in registry.ablations:
            raise UserError(f"unknown ablation '{ablation}'; use one of {', '.join(registry.ablations)}")
        return list(registry.ablations[ablation])
    keys = list(registry) if methods is None else [key.strip() for key in methods.split(",") if key.strip()]
    if not keys:
        raise UserError("--methods names no method  (all: python run_all.py --list)")
    return keys


def split_list(text: str | None, dataset: Dataset) -> list[str]:
    """Split names from `1`, `1-5`, `split1` or names separated by commas.

    Raises:
        UserError: the data set has no such split.
    """
    if text is None:
        return list(dataset.split_names)
    allowed = (*dataset.split_names, *dataset.extra_splits)
    names = []
    for part in text.split(","):
        part = part.strip()
        numbered = number_list(part, "--splits") if re.fullmatch(r"\d+(-\d+)?", part) else None
        names += [f"split{number}" for number in numbered] if numbered is not None else [part]
    for name in names:
        if name not in allowed:
            raise UserError(f"--splits {text}: {dataset.name} has no '{name}'; it has {', '.join(allowed)}")
    return list(dict.fromkeys(names))


def number_list(text: str, option: str) -> list[int]:
    """Numbers from `0`, `0-2` or `0,3`.

    Raises:
        UserError: the text has another form.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise UserError(f"{option} {text}: write numbers such as 0, 0-2 or 0,3")
        first, last = int(match[1]), int(match[2] or match[1])
        numbers += range(first, last + 1)
    if not numbers:
        raise UserError(f"{option} {text}: the range is empty")
    return list(dict.fromkeys(numbers))


def job_count(text: str, device: str, preset: Preset) -> int:
    """Cells side by side.

    Raises:
        UserError: neither `auto` nor a positive number.
    """
    if text == "auto":
        return default_jobs(device, preset.run.threads)
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"--jobs {text}: write auto or a positive number")
    return int(text)


def refuse_name_clash(
    cells: Sequence[Cell], requests: Sequence[Request], store: Store, options: argparse.Namespace
) -> None:
    """A name given by --variant keeps its settings for good.

    Raises:
        UserError: results hold that name with other settings.
    """
    if options.variant is None or options.force:
        return
    labelled = {request.key for request in requests if request.changes}
    for cell in cells:
        if cell.key in labelled and store.folder(cell).is_dir() and store.status(cell) is None:
            raise UserError(
                f"{store.folder(cell)} holds '{cell.key}' with other settings; choose another --variant or add --force"
            )


def list_methods(registry: Registry) -> int:
    rows = [
        [name, plugin.kind, plugin.title, ", ".join(plugin.VARIANTS), ", ".join(plugin.requires), plugin.paper]
        for name, plugin in registry.items()
    ]
    show_rows("methods", ["name", "kind", "title", "variants", "needs", "paper"], rows)
    studies = [[name, ", ".join(keys)] for name, keys in registry.ablations.items()]
    show_rows("studies (--ablation)", ["name", "rows"], studies)
    return 0


def show_plan(cells: Sequence[Cell], store: Store) -> int:
    rows = [
        [cell.key, cell.split, str(cell.seed), store.status(cell) or "to do", cell.hash[:12], cell.needed_by or ""]
        for cell in cells
    ]
    show_rows("plan", ["method", "split", "seed", "status", "hash", "needed by"], rows)
    return 0


def console_main() -> int:
    """Entry for a process: signals and mistakes become exit statuses."""

    def terminated(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, terminated)
    return exit_status(main)
