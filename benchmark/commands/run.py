"""What `python run_all.py` does: choose, plan, run, show the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.boards.leaderboard import build_board, write_board
from benchmark.cells.cell import Cell
from benchmark.cells.checkpoints import parse_checkpoints, released_folders, with_released
from benchmark.cells.claims import claimed
from benchmark.cells.path import local_root
from benchmark.cells.plan import Planner, Request, choose_methods
from benchmark.cells.presets import CHANGED, Preset, load_preset, parse_overrides
from benchmark.cells.record import read_record
from benchmark.cells.store import Store
from benchmark.commands.options import RunOptions, job_count, make_folders, requested
from benchmark.evaluation.cluster_plan import cluster_for_table
from benchmark.running.backends import connect
from benchmark.running.missing import compute_missing, without_curve
from benchmark.running.runner import Execution
from datasets.catalogue import DataRequest
from datasets.checks.confounds.verdict import verdict_for, verdict_line
from datasets.checks.pixels import passed_line
from datasets.console import say, show_markdown, show_rows, warn
from datasets.core.split_list import number_list, split_list
from datasets.errors import UserError
from datasets.files.dataset import FileDataset
from datasets.types import Dataset
from methods.core.device import choose
from methods.core.registry import Registry


def plan_and_run(options: RunOptions, registry: Registry) -> int:
    """Turn the options into cells, and run or show them; the exit status.

    Raises:
        UserError: the request cannot be run.
    """
    overrides = parse_overrides(options.overrides)
    preset = load_preset(options.preset, options.dataset, overrides, options.variant)
    keys = requested(options.methods, options.ablation, registry)
    requests = choose_methods(registry, keys, overrides, options.variant)
    requests = with_released(requests, parse_checkpoints(options.checkpoints))
    choose(options.device)
    data = DataRequest(options.dataset, options.data_root, preset.data)
    dataset = data.open()
    splits, seeds = split_list(options.splits, dataset), number_list(options.seeds, "--seeds")
    cells = Planner(registry, dataset.name, dataset.fingerprint, preset).plan(requests, splits, seeds)
    store = Store(options.results)
    if options.variant is not None and not options.force:
        refuse_name_clash(cells, requests, preset, store)
    if options.plan:
        return show_plan(cells, store)
    jobs = job_count(options.jobs, options.device, preset)
    execution = Execution(
        data, options.results, options.device, jobs, options.backend, options.fail_fast, options.curve,
        released_folders(requests),
    )  # fmt: skip
    connect(options.backend, options.scheduler)
    return run(cells, dataset, preset, execution, registry, options)


def run(
    cells: Sequence[Cell],
    dataset: Dataset,
    preset: Preset,
    execution: Execution,
    registry: Registry,
    options: RunOptions,
) -> int:
    """Compute what is missing, write the board and show it; 1 if a cell failed."""
    make_folders(results=options.results, leaderboards=options.leaderboards)
    store = Store(options.results)
    if options.force:
        begin_again(cells, store)
    if execution.curve:
        for cell in without_curve(cells, store, registry):
            store.set_aside(cell)
    introduce(dataset, trains=not all(store.done(cell) for cell in cells))
    outcomes = compute_missing(cells, dataset, execution, registry)
    clustered = cluster_for_table(local_root(options.results, dataset.name, preset.key), execution.jobs)
    if clustered:
        say(f"{clustered} clusterings of stored features computed for the discovery table")
    board = build_board(dataset.name, preset.key, options.results, options.leaderboards)
    if board.entries:
        path = write_board(board, registry.ablations, options.leaderboards)
        show_markdown(path.read_text(encoding="utf-8"), str(path))
        say(f"leaderboard: {path}")
    done = sum(store.done(cell) for cell in cells)
    computed = sum(outcome.status == "done" and not outcome.elsewhere for outcome in outcomes)
    others = sum(outcome.elsewhere for outcome in outcomes)
    by_others = f", {others} by another run" if others else ""
    say(f"{done} of {len(cells)} cells done, {computed} computed now{by_others}" + _gap(len(cells) - done))
    return 0 if done == len(cells) else 1


def introduce(dataset: Dataset, trains: bool) -> None:
    """Say what was passed over, and before training what confounds are in the data; both in one line."""
    if not isinstance(dataset, FileDataset):
        return
    if dataset.passed_over:
        say(f"{dataset.name}: passed over, {passed_line(dataset.passed_over)}")
    if trains and (line := verdict_line(verdict_for(dataset))):
        warn(f"{dataset.name}: {line}")


def _gap(number: int) -> str:
    return f"; {number} failed, were skipped or were not reached: the same command tries them again" if number else ""


def begin_again(cells: Sequence[Cell], store: Store) -> None:
    """Drop unfinished work and set finished cells aside.

    Raises:
        UserError: another run computes one of them.
    """
    for cell in cells:
        with claimed(store, cell) as ours:
            if not ours:
                at_work = f"{cell.title} is computed by another run on {store.root}"
                raise UserError(f"--force: {at_work}; wait for it, or leave out --force")
            store.clear(cell)
            store.set_aside(cell)


def refuse_name_clash(cells: Sequence[Cell], requests: Sequence[Request], preset: Preset, store: Store) -> None:
    """A name given by --variant keeps its settings for good.

    Raises:
        UserError: results hold that name with other settings.
    """

    labelled = {request.key for request in requests if request.changes}
    for cell in cells:
        record = read_record(store.folder(cell)) if cell.key in labelled or CHANGED in preset.key else None
        if record is not None and record.hash != cell.hash:
            held = f"{store.folder(cell)} holds results with other settings"
            raise UserError(f"{held}; choose another --variant, or add --force to replace them")


def show_plan(cells: Sequence[Cell], store: Store) -> int:
    rows = [
        [cell.key, cell.split, str(cell.seed), store.status(cell) or "to do", cell.hash[:12], cell.needed_by or ""]
        for cell in cells
    ]
    show_rows("plan", ["method", "split", "seed", "status", "hash", "needed by"], rows)
    return 0
