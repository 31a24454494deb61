"""Compute one cell in whatever process it was sent to. A failure is a result, never the end of the rest."""

from __future__ import annotations

import csv
import json
import platform
import subprocess
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from benchmark.cells import Cell
from benchmark.evaluator import Classes, evaluate
from benchmark.judgements import Judgements, judge
from benchmark.store import (
    EVALUATION,
    HISTORY,
    LOG,
    Record,
    Store,
    flush_folder,
    read_record,
    write_arrays,
    write_json,
    write_record,
)
from datasets.catalogue import DataRequest
from datasets.splits import REAL
from datasets.types import Dataset, Split
from methods.core.device import choose, make_deterministic, peak_memory, synchronise
from methods.core.history import History
from methods.core.method import Method, Plugin
from methods.core.registry import Registry, discover
from methods.core.run import Progress, Run
from methods.core.settings import RunSettings

MODEL = "model"
_CHECKOUT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Job:
    """A cell with what a worker needs to compute it."""

    cell: Cell
    data: DataRequest
    results: Path
    device: str


@dataclass(frozen=True)
class Outcome:
    """What became of a cell."""

    cell: Cell
    status: str
    seconds: float
    reason: str | None = None


def execute(job: Job) -> Outcome:
    """Compute a cell and store it; an exception of the method is stored as its failure."""
    cell, store, started = job.cell, Store(job.results), time.perf_counter()
    (store.scratch(cell)).mkdir(parents=True, exist_ok=True)
    make_deterministic(cell.run["threads"])
    registry = discover()
    plugin = registry[cell.method]
    missing = [key for key in cell.needs if not _has(store, cell, key)]
    if missing:
        reason = f"needs {', '.join(missing)}, which did not finish on this split and seed"
        store_failure(store, cell, plugin, "skipped", reason)
        return Outcome(cell, "skipped", time.perf_counter() - started, reason)
    try:
        compute(job, store, registry)
    except Exception as error:  # noqa: BLE001 - whatever a method raises must not stop the others
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        store_failure(store, cell, plugin, "failed", reason, traceback.format_exc())
        return Outcome(cell, "failed", time.perf_counter() - started, reason)
    return Outcome(cell, "done", time.perf_counter() - started)


def compute(job: Job, store: Store, registry: Registry) -> None:
    """Fit, judge, evaluate, commit."""
    cell, dataset = job.cell, job.data.open()
    split = dataset.split(cell.split)
    plugin, run = registry[cell.method], make_run(job, store, registry)
    method = cast(Method, plugin(plugin.Config(**cell.config), run))

    started = time.perf_counter()
    method.fit(split.train, split.val)
    synchronise(run.device)
    fitted = time.perf_counter()
    judgements, raw = judge(method, split)
    synchronise(run.device)
    judged = time.perf_counter()

    cost = {
        "parameters": method.trainable(),
        "train_seconds": round(fitted - started, 2),
        "images_per_second": round(len(judgements.ids) / (judged - fitted), 1),
        "peak_memory": peak_memory(run.device),
    }
    with store.writing(cell) as folder:
        method.save(folder / MODEL)
        judgements.save(folder)
        write_arrays(folder / "scores.npz", {"scores": raw.scores.astype(np.float32)})
        write_arrays(folder / "features.npz", {"features": raw.features.astype(np.float32)})
        write_history(folder / HISTORY, run.history)
        data = data_facts(dataset, split)
        write_json(folder / EVALUATION, evaluate(judgements, *names_of(data)))
        (folder / LOG).write_text(f"{cell.title}: done in {judged - started:.1f} s\n", encoding="utf-8")
        write_record(folder, make_record(cell, plugin, "done", data=data, cost=cost, device=job.device))


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
        write_json(scratch / "progress.json", asdict(progress))

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
        "splits": len(dataset.split_names),
        "known": list(train.classes),
        "unknown": {group: list(images.classes) for group, images in split.unknown.items()},
        "seen_sources": seen,
        "images": {"train": len(train), "val": len(split.val), "test": len(split.test)}
        | {group: len(images) for group, images in split.unknown.items()},
    }


def names_of(data: Mapping[str, Any]) -> tuple[Classes, frozenset[str]]:
    """The evaluator's view of stored data facts."""
    unknown = {group: tuple(names) for group, names in data["unknown"].items()}
    return Classes(tuple(data["known"]), unknown), frozenset(data["seen_sources"])


def reevaluate(folder: Path, official: bool = False) -> dict[str, Any]:
    """Compute a stored cell's evaluation again from its predictions, and write it."""
    record = read_record(folder)
    if record is None or record.status != "done":
        raise ValueError(f"{folder} is not a finished cell")
    values = evaluate(Judgements.load(folder), *names_of(record.data), official=official)
    write_json(folder / EVALUATION, values)
    return values


def make_record(cell: Cell, plugin: type[Plugin], status: str, *, device: str | None = None, **facts: Any) -> Record:
    fields = asdict(cell)
    fields.pop("needed_by")
    return Record(
        cell=fields, hash=cell.hash, status=cast(Any, status), kind=plugin.kind, title=plugin.title,
        paper=plugin.paper, tables=plugin.tables, made_with=environment(cell, device), **facts,
    )  # fmt: skip


def store_failure(
    store: Store, cell: Cell, plugin: type[Plugin], status: str, reason: str, trace: str | None = None
) -> None:
    """Keep a failure as a cell of its own kind; a finished cell of the same name is not touched by it."""
    folder = store.folder(cell)
    record = read_record(folder)
    if record is not None and record.status == "done":
        store.set_aside(cell)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOG).write_text(f"{cell.title}: {status}: {reason}\n\n{trace or ''}", encoding="utf-8")
    write_record(folder, make_record(cell, plugin, status, reason=reason))
    flush_folder(folder)


def write_history(path: Path, history: History) -> None:
    """One row an epoch; columns are the union of all rows' names."""
    columns = list(dict.fromkeys(name for row in history.rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history.rows)


def environment(cell: Cell, device: str | None) -> dict[str, Any]:
    """Commit, versions, device: what a reader needs to compute the cell again."""
    commit, dirty = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return {
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
