"""AUC over the rounds of a training, watched from outside and never used to choose anything."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.metrics import open_set as metrics
from datasets.splits import UNKNOWN_GROUPS
from datasets.types import Split
from methods.core.method import Method, NotFitted

CURVE = "curve.csv"
COLUMNS = ("stage", "epoch", "accuracy", *(f"auc_{group}" for group in UNKNOWN_GROUPS), "auc_all")

Row = dict[str, str | int | float | None]


class Curve:
    """Judges all test images after every epoch with the method as it stands.

    Its `predict` is read-only, and the run preserves generators and module modes around the call, so the
    weights come out the same with and without a curve. Rows are kept in a file from the first epoch on:
    a resumed training continues its curve.

    Args:
        method: that is being fitted.
        split: whose test images are judged.
        path: of the file; rows of an interrupted run that it holds are kept.

    Attributes:
        rows: so far.
        seconds: that judging took, which are no cost of the training.
    """

    def __init__(self, method: Method, split: Split, path: Path) -> None:
        self._method, self._split, self._path = method, split, path
        self.rows, self.seconds = _read(path), 0.0

    def __call__(self, stage: str, epoch: int) -> None:
        """Add the row of an epoch; for `Run.on_epoch`."""
        started = time.perf_counter()
        row = self._judged(stage, epoch)
        if row is not None:
            self.rows = [kept for kept in self.rows if (kept["stage"], kept["epoch"]) != (stage, epoch)] + [row]
            self.save(self._path)
        self.seconds += time.perf_counter() - started

    def _judged(self, stage: str, epoch: int) -> Row | None:
        """Figures of this moment; None while the method lacks what its `predict` needs, as in a pretraining."""
        try:
            test = self._method.predict(self._split.test)
        except NotFitted:
            return None
        unknown = {
            group: self._method.predict(images).confidence
            for group, images in self._split.unknown.items()
            if len(images)
        }
        right = test.scores.argmax(axis=1) == self._split.test.labels
        row: Row = {"stage": stage, "epoch": epoch, "accuracy": float(right.mean())}
        for group in UNKNOWN_GROUPS:
            row[f"auc_{group}"] = metrics.auc(test.confidence, unknown[group]) if group in unknown else None
        row["auc_all"] = metrics.auc(test.confidence, np.concatenate([*unknown.values()])) if unknown else None
        return row

    def save(self, path: Path) -> None:
        """Write the rows, none of them if the method could not be watched."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.partial")
        with beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        beside.replace(path)


def read_curve(folder: Path) -> dict[str, Any]:
    """The curve of a cell as a part of its evaluation; nothing where none was asked for."""
    path = folder / CURVE
    return {"curve": _read(path)} if path.is_file() else {}


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [_typed(row) for row in csv.DictReader(file)]


def _typed(row: dict[str, str]) -> Row:
    figures = {name: float(value) if value else None for name, value in row.items() if name not in ("stage", "epoch")}
    return {"stage": row["stage"], "epoch": int(row["epoch"]), **figures}
