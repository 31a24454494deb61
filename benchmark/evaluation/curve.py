"""Test figures over the epochs of a training, watched from outside and never used to choose anything."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np

from benchmark.evaluation.figures import GROUPS, Epoch
from benchmark.evaluation.parts import ALL
from benchmark.metrics.open_set import auc
from datasets.core.partial import whole_file
from datasets.types import Split
from methods.core.method import Method, NotFitted

CURVE = "curve.csv"
COLUMNS = ("stage", "epoch", "accuracy", *(f"auc_{group}" for group in GROUPS))


class TrainingCurve:
    """Judges all test images after every epoch with the method as it stands.

    Its `predict` is read-only, and the run preserves generators and module modes around the call, so the
    weights come out the same with and without a curve. Epochs are kept in a file from the first one on:
    a resumed training continues its curve.

    Args:
        method: that is being fitted.
        split: whose test images are judged.
        path: of the file; epochs of an interrupted run that it holds are kept.

    Attributes:
        epochs: so far.
        seconds: that judging took, which are no cost of the training.
    """

    def __init__(self, method: Method, split: Split, path: Path) -> None:
        self._method, self._split, self._path = method, split, path
        self.epochs, self.seconds = _read(path), 0.0

    def __call__(self, stage: str, epoch: int) -> None:
        """Add an epoch; for `Run.on_epoch`."""
        started = time.perf_counter()
        judged = self._judged(stage, epoch)
        if judged is not None:
            self.epochs = [kept for kept in self.epochs if (kept.stage, kept.epoch) != (stage, epoch)] + [judged]
            self.save(self._path)
        self.seconds += time.perf_counter() - started

    def _judged(self, stage: str, epoch: int) -> Epoch | None:
        """Figures of this moment; None while the method lacks what its `predict` needs, as in a pretraining."""
        try:
            test = self._method.predict(self._split.test)
        except NotFitted:
            return None
        groups = {name: images for name, images in self._split.unknown.items() if len(images)}
        unknown = {name: self._method.predict(images).confidence for name, images in groups.items()}
        if unknown:
            unknown[ALL] = np.concatenate([*unknown.values()])
        right = test.scores.argmax(axis=1) == self._split.test.labels
        figures = {group: auc(test.confidence, unknown[group]) for group in GROUPS if group in unknown}
        return Epoch(stage, epoch, float(right.mean()), figures)

    def save(self, path: Path) -> None:
        """Write the epochs, none of them if the method could not be watched."""
        with whole_file(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for row in self.epochs:
                writer.writerow([row.stage, row.epoch, row.accuracy, *(row.auc.get(group, "") for group in GROUPS)])


def read_curve(folder: Path) -> tuple[Epoch, ...]:
    """The curve of a cell; nothing where none was asked for."""
    return tuple(_read(folder / CURVE))


def _read(path: Path) -> list[Epoch]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [_epoch(row) for row in csv.DictReader(file)]


def _epoch(row: dict[str, str]) -> Epoch:
    figures = {group: float(row[f"auc_{group}"]) for group in GROUPS if row[f"auc_{group}"]}
    return Epoch(row["stage"], int(row["epoch"]), float(row["accuracy"]), figures)
