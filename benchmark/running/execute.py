"""Compute one cell in whatever process it was sent to. A failure is a result, never the end of the rest."""

from __future__ import annotations

import csv
import time
import traceback
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmark.cells.cell import Cell
from benchmark.cells.claims import claimed
from benchmark.cells.files import EVALUATION, HISTORY, LOG, write_json
from benchmark.cells.provenance import data_facts, done_record, failed_record
from benchmark.cells.record import Record, Status, read_record, write_record
from benchmark.cells.store import Store
from benchmark.evaluation.cell import evaluate_cell
from benchmark.running.fitting import make_run, work_of
from benchmark.running.job import Job, Outcome, PassedOver
from benchmark.running.progress import marked
from datasets.core.partial import whole_file, write_whole
from datasets.core.places import Unwritable
from datasets.errors import UserError
from methods.core.device import OUT_OF_MEMORY, make_deterministic
from methods.core.history import History
from methods.core.method import Plugin
from methods.core.registry import Registry, load_registry

# Raised by the machine rather than by the method, whose unfinished work may then be continued.
_SURROUNDINGS: tuple[type[BaseException], ...] = (OSError, Unwritable, *OUT_OF_MEMORY)


def execute(job: Job) -> Outcome | PassedOver:
    """Compute a cell and store it, unless another run does; an exception of the method is stored as its failure."""
    started, store = time.perf_counter(), Store(job.results)
    try:
        with claimed(store, job.cell, wait=job.passed_over is not None) as ours:
            if not ours:
                return PassedOver(job.cell, _written(read_record(store.folder(job.cell))))
            made = _made_elsewhere(job, store)
            if made is not None:
                return made
            status, reason = _compute_marked(job, store)
    except Unwritable as error:  # not even a failure can be kept
        status, reason = "failed", str(error)
    return Outcome(job.cell, status, time.perf_counter() - started, reason)


def _made_elsewhere(job: Job, store: Store) -> Outcome | None:
    """What another run has made of the cell since this one began; None if that is nothing."""
    record = read_record(store.folder(job.cell))
    if record is None or record.hash != job.cell.hash:
        return None
    waited = job.passed_over is not None and _written(record) != job.passed_over.written
    if record.status != "done" and not waited:
        return None
    return Outcome(job.cell, record.status, 0.0, record.reason, elsewhere=True)


def _written(record: Record | None) -> str:
    return "" if record is None else record.made_with.finished


def _compute_marked(job: Job, store: Store) -> tuple[Status, str | None]:
    make_deterministic(job.cell.run["threads"])
    # Libraries beside torch have pools of threads of their own.
    with marked(store, job.cell), threadpool_limits(job.cell.run["threads"]):
        return _attempt(job)


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
        told = str(error) if isinstance(error, Unwritable) else f"{type(error).__name__}: {error}"
        reason = told.splitlines()[0]
        if not (isinstance(error, Unwritable) and store.holds_finished(cell)):  # a full disk costs no old results
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
        write_whole(folder / LOG, f"{cell.title}: done: {work.summary}\n")
        write_record(folder, done_record(cell, plugin, data, work.cost, str(run.device)))


def store_failure(
    store: Store, cell: Cell, plugin: type[Plugin], status: Status, reason: str, trace: str | None = None
) -> None:
    """Keep a failure as a cell of its own kind; a finished cell of the same name is moved aside."""
    with store.writing(cell, keep_work=True) as folder:
        write_whole(folder / LOG, f"{cell.title}: {status}: {reason}\n\n{trace or ''}")
        write_record(folder, failed_record(cell, plugin, status, reason))


def write_history(path: Path, history: History) -> None:
    """One row for every epoch; columns are the union of all rows' names."""
    columns = list(dict.fromkeys(name for row in history.rows for name in row))
    with whole_file(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history.rows)
