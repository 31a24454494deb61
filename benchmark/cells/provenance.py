"""Records of cells that end now: commit, versions, device, and what is remembered of the data."""

from __future__ import annotations

import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch

from benchmark.cells.cell import Cell
from benchmark.cells.record import Cost, DataFacts, Provenance, Record, Status
from datasets.splits import REAL
from datasets.types import Dataset, Split
from methods.core.method import Plugin

_CHECKOUT = Path(__file__).parents[2]


def done_record(cell: Cell, plugin: type[Plugin], data: DataFacts, cost: Cost, device: str) -> Record:
    """The record of a cell that is finished."""
    return _record(cell, plugin, "done", device, data=data, cost=cost)


def failed_record(cell: Cell, plugin: type[Plugin], status: Status, reason: str) -> Record:
    """The record of a cell that failed or was skipped."""
    return _record(cell, plugin, status, None, reason=reason)


def _record(
    cell: Cell,
    plugin: type[Plugin],
    status: Status,
    device: str | None,
    *,
    data: DataFacts | None = None,
    cost: Cost | None = None,
    reason: str | None = None,
) -> Record:
    return Record(
        cell, cell.hash, status, plugin.kind, plugin.title, plugin.paper, plugin.tables, reason, data, cost,
        provenance(cell, device),
    )  # fmt: skip


def data_facts(dataset: Dataset, split: Split) -> DataFacts:
    """What a stored cell remembers of its data."""
    train = split.train
    real = train.labels == 0 if train.classes[:1] == (REAL,) else np.zeros(len(train), dtype=bool)
    seen: list[str] = [] if train.sources is None else np.unique(train.sources[real]).tolist()
    counts = {"train": len(train), "val": len(split.val), "test": len(split.test)}
    return DataFacts(
        title=dataset.title,
        coverage=dataset.coverage,
        splits=dataset.split_names,
        known=train.classes,
        unknown={group: images.classes for group, images in split.unknown.items()},
        seen_sources=tuple(seen),
        images=counts | {group: len(images) for group, images in split.unknown.items()},
        pixels=dataset.pixels,
    )


def provenance(cell: Cell, device: str | None) -> Provenance:
    """Time, commit, versions and device of a cell that ends now."""
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return Provenance(
        finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commit=commit,
        dirty=None if changes is None else bool(changes),
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        platform=platform.platform(),
        device=device,
        threads=cell.run["threads"],
    )


def _git(*words: str) -> str | None:
    """What git says of the checkout, which it only reads: a killed run must not leave git's lock there."""
    command = ["git", "--no-optional-locks", *words]
    try:
        done = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
