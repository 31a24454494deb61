"""Cells of a leaderboard with figures of one's choice, in memory or on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.boards.rows import LOCAL, Entry
from benchmark.cells.cell import Cell
from benchmark.cells.files import EVALUATION, write_json
from benchmark.cells.record import DataFacts, Provenance, Record, Status, write_record
from benchmark.cells.store import Store
from benchmark.evaluation.cell import Figures
from benchmark.evaluation.figures import GROUPS, ClosedSet, Curve, Evaluation, RealImages
from benchmark.evaluation.parts import PARTS
from benchmark.evaluation.predictions import Predictions
from benchmark.metrics import open_set

SPLITS = ("split1", "split2", "split3", "split4", "split5")
DATA = DataFacts(
    title="toy (noise)", coverage=1.0, splits=SPLITS, known=("real", "a"),
    unknown={"seed": ("a2",), "arch": ("c",), "dataset": ("d",)}, seen_sources=("meadow",),
)  # fmt: skip


def curves(auc: float, oscr: float = 0.5) -> dict[str, Curve]:
    """AUC and OSCR are those of every group."""
    return {group: Curve(2, {"auc": auc, "oscr": oscr}) for group in GROUPS}


def figures(accuracy: float, auc: float = 0.5, oscr: float = 0.5, **others: Any) -> Evaluation:
    """An evaluation of an accuracy, and with the curves of every group."""
    closed = ClosedSet({"accuracy": accuracy, "macro_recall": accuracy, "macro_f1": accuracy}, 2, ((1, 0), (0, 1)))
    plain = Evaluation(open_set.VERSION, None, closed, RealImages(), curves(auc, oscr))
    return replace(plain, **others)


def row_cell(key: str = "nearest", split: str = "split1", seed: int = 0, **fields: Any) -> Cell:
    method, _, variant = key.partition("@")
    usual = {"dataset": "toy", "fingerprint": "f" * 64, "preset": "smoke", "version": 1, "config": {}, "run": {}}
    return Cell(method=method, variant=variant or None, split=split, seed=seed, **{**usual, **fields})


def row_record(cell: Cell, status: Status = "done", finished: str = "2026-01-01", **facts: Any) -> Record:
    usual = {"kind": "osr", "title": cell.method.capitalize(), "paper": "Paper"}
    data = DATA if status == "done" else None
    return Record(cell, cell.hash, status, **{**usual, "data": data, "made_with": Provenance(finished), **facts})


def entry(
    key: str = "nearest",
    split: str = "split1",
    seed: int = 0,
    *,
    values: Figures | None = None,
    origin: str = LOCAL,
    fields: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Entry:
    """A cell as a board sees it; `fields` are those of the cell, `facts` those of its record."""
    record = row_record(row_cell(key, split, seed, **(fields or {})), **facts)
    return Entry(record, (values or figures(0.5)) if record.status == "done" else None, origin)


def predictions() -> Predictions:
    """Two images of every part; the known ones outscore all others."""
    part = np.repeat(np.arange(len(PARTS), dtype=np.int8), 2)
    label = np.where(part < 2, np.tile([0, 1], len(PARTS)), 0)
    source = np.where(label == 0, "meadow", "a")
    confidence = np.where(part < 2, 0.9, 0.1)
    ids = np.array([f"image-{number}" for number in range(len(part))])
    return Predictions(part, ids, source, label, label.copy(), confidence, {})


def store_row(root: Path, cell: Cell, values: Figures | None = None, **facts: Any) -> Path:
    """Write a cell below a results folder; without `values` its figures follow from its predictions."""
    folder = Store(root).folder(cell)
    folder.mkdir(parents=True)
    record = row_record(cell, **facts)
    if record.status == "done":
        predictions().save(folder)
    if values is not None:
        write_json(folder / EVALUATION, values)
    write_record(folder, record)
    return folder
