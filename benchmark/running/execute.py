"""Compute one cell in whatever process it was sent to. A failure is a result, never the end of the rest."""

from __future__ import annotations

import csv
import json
import platform
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmark.cells.cell import Cell
from benchmark.cells.checkpoints import take_released
from benchmark.cells.store import (
    EVALUATION,
    HISTORY,
    LOG,
    Record,
    Status,
    Store,
    flush_folder,
    read_record,
    write_arrays,
    write_json,
    write_record,
)
from benchmark.evaluation.cell import evaluate_cell
from benchmark.evaluation.cluster_cells import FEATURES, statistics
from benchmark.evaluation.curve import CURVE, Curve
from benchmark.evaluation.discovery import DiscoveryWork, discover_groups
from benchmark.evaluation.predictions import Predictions, judge
from datasets.catalogue import DataRequest
from datasets.errors import UserError
from datasets.splits import REAL
from datasets.types import Dataset, Split
from methods.core.device import choose, make_deterministic, peak_memory, synchronise
from methods.core.history import History
from methods.core.method import DiscoveryMethod, Method, Plugin, Prediction
from methods.core.registry import Registry, load_registry
from methods.core.run import Progress, Run
from methods.core.settings import RunSettings

MODEL = "model"
STARTED, PROGRESS = "started", "progress.json"
_CHECKOUT = Path(__file__).parents[2]
# Raised by the machine rather than by the method, whose unfinished work may then be continued.
_SURROUNDINGS = (OSError, MemoryError, torch.cuda.OutOfMemoryError)


@dataclass(frozen=True)
class Job:
    """A cell with what a worker needs to compute it."""

    cell: Cell
    data: DataRequest
    results: Path
    device: str
    curve: bool = False  # also judge the test images after every epoch; without influence on the weights
    released: Path | None = None  # folder of released weights, which the method takes instead of being trained


@dataclass(frozen=True)
class Outcome:
    """What became of a cell."""

    cell: Cell
    status: Status
    seconds: float
    reason: str | None = None


def execute(job: Job) -> Outcome:
    """Compute a cell and store it; an exception of the method is stored as its failure.

    A mark lies beside the unfinished work while this runs: whoever finds it after a crash knows what
    was in flight.
    """
    mark, started = Store(job.results).scratch(job.cell) / STARTED, time.perf_counter()
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    make_deterministic(job.cell.run["threads"])
    with threadpool_limits(job.cell.run["threads"]):  # libraries beside torch have pools of their own
        status, reason = _attempt(job)
    mark.unlink(missing_ok=True)
    return Outcome(job.cell, status, time.perf_counter() - started, reason)


def _attempt(job: Job) -> tuple[Status, str | None]:
    """What became of a cell, and why if it is not done."""
    cell, store, registry = job.cell, Store(job.results), load_registry()
    plugin = registry[cell.method]
    missing = [key for key in cell.needs if not _has(store, cell, key)]
    if missing:
        reason = f"needs {', '.join(missing)}, which did not finish on this split and seed"
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


@dataclass(frozen=True)
class MethodWork:
    """What a cell of a method keeps."""

    method: Method
    predictions: Predictions
    raw: Prediction
    training: dict[str, np.ndarray[Any, np.dtype[np.float64]]]  # mean and deviation of the training set's features
    curve: Curve | None
    cost: dict[str, Any]
    summary: str

    def save(self, folder: Path) -> None:
        self.method.save(folder / MODEL)
        self.predictions.save(folder)
        write_arrays(folder / "scores.npz", {"scores": self.raw.scores.astype(np.float32)})
        write_arrays(folder / FEATURES, {"features": self.raw.features.astype(np.float32), **self.training})
        if self.curve is not None:
            self.curve.save(folder / CURVE)


def compute(job: Job, store: Store, registry: Registry) -> None:
    """Fit, judge, evaluate, commit.

    Raises:
        UserError: the data are not those that the cell was planned for.
    """
    cell, dataset = job.cell, job.data.open()
    if dataset.fingerprint != cell.fingerprint:
        raise UserError(f"data set {dataset.name} has changed since this run began; start it again")
    split = dataset.split(cell.split)
    plugin, run = registry[cell.method], make_run(job, store, registry)
    method = plugin(plugin.Config(**cell.config), run)
    if isinstance(method, DiscoveryMethod):
        work: MethodWork | DiscoveryWork = discover_groups(method, split)
    else:
        work = _work_of(cast(Method, method), job, split, store.scratch(cell))
    with store.writing(cell) as folder:
        work.save(folder)
        write_history(folder / HISTORY, run.history)
        data = data_facts(dataset, split)
        write_json(folder / EVALUATION, evaluate_cell(folder, data))
        (folder / LOG).write_text(f"{cell.title}: done: {work.summary}\n", encoding="utf-8")
        write_record(folder, make_record(cell, plugin, "done", data=data, cost=work.cost, device=str(run.device)))


def _work_of(method: Method, job: Job, split: Split, scratch: Path) -> MethodWork:
    """Train the method, or give it released weights, and judge."""
    if job.released is None:
        return fit_and_judge(method, split, scratch / CURVE if job.curve else None)
    folder = job.released
    work = fit_and_judge(method, split, fit=lambda: take_released(method, folder, job.cell, split.train))
    del work.cost["train_seconds"]
    return work


def fit_and_judge(
    method: Method, split: Split, curve_file: Path | None = None, fit: Callable[[], None] | None = None
) -> MethodWork:
    """Fit on training and validation images, then judge all parts of the split.

    Args:
        fit: what is done instead of the method's own `fit`.
        curve_file: where to keep the figures of every epoch while they come in; None: they are not computed.
    """
    device = method.run.device
    curve = None if curve_file is None else Curve(method, split, curve_file)
    method.run.on_epoch = curve
    started = time.perf_counter()
    if fit is None:
        method.fit(split.train, split.val)
    else:
        fit()
    synchronise(device)
    fitted = time.perf_counter()
    predictions, raw = judge(method, split)
    synchronise(device)
    judged = time.perf_counter()
    cost = {
        "parameters": method.trainable(),
        "train_seconds": round(fitted - started - (curve.seconds if curve is not None else 0), 2),
        "images_per_second": round(len(predictions.ids) / max(judged - fitted, 1e-9), 1),
        "peak_memory": peak_memory(device),
    }
    training = statistics(method.predict(split.train).features)
    return MethodWork(method, predictions, raw, training, curve, cost, f"{judged - started:.1f} s")


def make_run(job: Job, store: Store, registry: Registry) -> Run:
    """The surroundings of a method in a cell; its progress is told through a small file."""
    cell, scratch = job.cell, store.scratch(job.cell)
    settings = RunSettings(**cell.run)
    device = choose(job.device)

    def resolve(key: str) -> Method:
        plugin = cast("type[Method]", registry.choose(key).plugin)
        folder = store.root / cell.sibling(key) / MODEL
        inner = Run(seed=cell.seed, device=device, settings=settings, resolve=resolve)
        return plugin.load(folder, inner)

    def report(progress: Progress) -> None:
        write_json(scratch / PROGRESS, asdict(progress))

    return Run(
        seed=cell.seed, device=device, settings=settings, folder=scratch / "training", resolve=resolve, report=report
    )


def data_facts(dataset: Dataset, split: Split) -> dict[str, Any]:
    """What a stored cell remembers of its data, enough to evaluate it again without them."""
    train = split.train
    real = train.labels == 0 if train.classes[:1] == (REAL,) else np.zeros(len(train), dtype=bool)
    seen = [] if train.sources is None else np.unique(train.sources[real]).tolist()
    return {
        "title": dataset.title,
        "coverage": dataset.coverage,
        "splits": list(dataset.split_names),
        "known": list(train.classes),
        "unknown": {group: list(images.classes) for group, images in split.unknown.items()},
        "seen_sources": seen,
        "images": {"train": len(train), "val": len(split.val), "test": len(split.test)}
        | {group: len(images) for group, images in split.unknown.items()},
    }


def make_record(cell: Cell, plugin: type[Plugin], status: Status, *, device: str | None = None, **facts: Any) -> Record:
    return Record(
        cell=cell, hash=cell.hash, status=status, kind=plugin.kind, title=plugin.title, paper=plugin.paper,
        tables=plugin.tables, made_with=environment(cell, device), **facts,
    )  # fmt: skip


def store_failure(
    store: Store, cell: Cell, plugin: type[Plugin], status: Status, reason: str, trace: str | None = None
) -> None:
    """Keep a failure as a cell of its own kind; a finished cell of the same name is moved aside."""
    folder = store.folder(cell)
    store.set_aside(cell)
    folder.mkdir(parents=True)
    (folder / LOG).write_text(f"{cell.title}: {status}: {reason}\n\n{trace or ''}", encoding="utf-8")
    write_record(folder, make_record(cell, plugin, status, reason=reason))
    flush_folder(folder)


def write_history(path: Path, history: History) -> None:
    """One row an epoch; columns are the union of all rows' names."""
    columns = list(dict.fromkeys(name for row in history.rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history.rows)


def environment(cell: Cell, device: str | None) -> dict[str, Any]:
    """Time, commit, versions, device: what a reader needs to compute the cell again."""
    commit, dirty = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return {
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit,
        "dirty": None if dirty is None else bool(dirty),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "device": device,
        "threads": cell.run["threads"],
    }


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=_CHECKOUT, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _has(store: Store, cell: Cell, key: str) -> bool:
    record = read_record(store.root / cell.sibling(key))
    return record is not None and record.status == "done" and record.hash == cell.needs[key]


def load_progress(path: Path) -> Progress | None:
    """The last report of a running cell."""
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
