"""Compute one cell in whatever process it was sent to. A failure is a result, never the end of the rest."""

from __future__ import annotations

import csv
import time
import traceback
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmark.cells.cell import Cell
from benchmark.cells.files import EVALUATION, HISTORY, LOG, write_json
from benchmark.cells.provenance import data_facts, done_record, failed_record
from benchmark.cells.record import Status, write_record
from benchmark.cells.store import Store
from benchmark.evaluation.cell import evaluate_cell
from benchmark.running.fitting import make_run, work_of
from benchmark.running.job import Job, Outcome
from benchmark.running.progress import marked
from datasets.core.partial import flush_folder
from datasets.errors import UserError
from methods.core.device import OUT_OF_MEMORY, make_deterministic
from methods.core.history import History
from methods.core.method import Plugin
from methods.core.registry import Registry, load_registry

# Raised by the machine rather than by the method, whose unfinished work may then be continued.
_SURROUNDINGS: tuple[type[BaseException], ...] = (OSError, *OUT_OF_MEMORY)


def execute(job: Job) -> Outcome:
    """Compute a cell and store it; an exception of the method is stored as its failure."""
    started = time.perf_counter()
    make_deterministic(job.cell.run["threads"])
    # Libraries beside torch have pools of threads of their own.
    with marked(Store(job.results), job.cell), threadpool_limits(job.cell.run["threads"]):
        status, reason = _attempt(job)
    return Outcome(job.cell, status, time.perf_counter() - started, reason)


def _attempt(job: Job) -> tuple[Status, str | None]:
    """What became of a cell, and why if it is not done."""
    cell, store, registry = job.cell, Store(job.results), load_registry()
    plugin = registry[cell.method]
    if unmet := store.unmet(cell):
        reason = f"needs {', '.join(unmet)}, which did not finish on this split and seed"
        store_failure(store, cell, plugin, "skipped", reason)
        return "skipped", reason
    try:
        compute(job, store, registry)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a method raises must not stop the others
        if not isinstance(error, _SURROUNDINGS):
            store.clear(cell)  # who repairs the method must not continue from what the faulty one had saved
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        store_failure(store, cell, plugin, "failed", reason, traceback.format_exc())
        return "failed", reason
    return "done", None


def compute(job: Job, store: Store, registry: Registry) -> None:
    """Fit, predict, evaluate, commit.

    Raises:
        UserError: the data are not those that the cell was planned for.
    """
    cell, dataset = job.cell, job.data.open()
    if dataset.fingerprint != cell.fingerprint:
        raise UserError(f"data set {dataset.name} has changed since this run began; start it again")
    split = dataset.split(cell.split)
    plugin, run = registry[cell.method], make_run(cell, store, registry, job.device)
    work = work_of(plugin(plugin.Config(**cell.config), run), job, split, store.scratch(cell))
    with store.writing(cell) as folder:
        work.save(folder)
        write_history(folder / HISTORY, run.history)
        data = data_facts(dataset, split)
        write_json(folder / EVALUATION, evaluate_cell(folder, data))
        (folder / LOG).write_text(f"{cell.title}: done: {work.summary}\n", encoding="utf-8")
        write_record(folder, done_record(cell, plugin, data, work.cost, str(run.device)))


def store_failure(
    store: Store, cell: Cell, plugin: type[Plugin], status: Status, reason: str, trace: str | None = None
) -> None:
    """Keep a failure as a cell of its own kind; a finished cell of the same name is moved aside."""
    folder = store.folder(cell)
    store.set_aside(cell)
    folder.mkdir(parents=True)
    (folder / LOG).write_text(f"{cell.title}: {status}: {reason}\n\n{trace or ''}", encoding="utf-8")
    write_record(folder, failed_record(cell, plugin, status, reason))
    flush_folder(folder)


def write_history(path: Path, history: History) -> None:
    """One row for every epoch; columns are the union of all rows' names."""
    columns = list(dict.fromkeys(name for row in history.rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history.rows)
