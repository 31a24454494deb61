"""The search for settings of a light preset: a few trials of every method, judged on validation images alone.

A trial is a cell like any other, so that a search can be interrupted and continued; test images are judged
in it, as in every cell, but nothing here reads what was found.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.cells.files import HISTORY
from benchmark.cells.plan import Request
from benchmark.cells.record import Record
from benchmark.cells.store import Stored
from benchmark.evaluation.cell import evaluation_of
from benchmark.evaluation.figures import Evaluation
from datasets.errors import UserError
from methods.core.key import parse_key
from methods.core.registry import Choice, Registry

TRIAL = "trial"
LOG_COLUMNS = ("method", "trial", "settings", "val_accuracy", "late_gain", "train_seconds", "chosen")
LATE = 4  # the gain of a training is that of its last quarter over the one before


@dataclass(frozen=True)
class Trial:
    """One candidate: the row it belongs to, its number from 1, and the settings it changes."""

    choice: Choice
    number: int
    changes: Mapping[str, Any]

    @property
    def request(self) -> Request:
        label = "-".join(filter(None, [self.choice.variant, f"{TRIAL}{self.number}"]))
        return Request(self.choice, self.changes, label)


def searchable(registry: Registry) -> list[str]:
    """Every row of a full comparison that declares what may be searched."""
    return [key for key in registry.rows if registry.choose(key).plugin.SEARCH]


def trials_of(choice: Choice, number: int) -> list[Trial]:
    """The candidates of a row: the whole grid of its SEARCH, or a fixed random draw from a larger one.

    Raises:
        UserError: the grid has fewer points.
    """
    search = choice.plugin.SEARCH
    grid = [dict(zip(search, values, strict=True)) for values in itertools.product(*search.values())] if search else []
    if len(grid) < number:
        raise UserError(f"--trials {number}: {choice.key} declares {len(grid)} candidates; ask for fewer")
    drawn = sorted(np.random.default_rng(0).choice(len(grid), number, replace=False))
    return [Trial(choice, count, grid[index]) for count, index in enumerate(drawn, start=1)]


def late_gain(history: pd.DataFrame) -> float:
    """How much validation accuracy still rose: mean of the last quarter of epochs minus that of the one before.

    NaN where fewer than two epochs were judged, as in methods without training.
    """
    if "val_accuracy" not in history:
        return float("nan")
    judged = history["val_accuracy"].dropna().to_numpy()
    quarter = max(1, len(judged) // LATE)
    if len(judged) < 2 * quarter or len(judged) < 2:
        return float("nan")
    return float(judged[-quarter:].mean() - judged[-2 * quarter : -quarter].mean())


@dataclass(frozen=True)
class TrialRow:
    """One line of the log: means over the splits and seeds on which a trial was made."""

    method: str
    trial: int
    settings: str  # JSON
    val_accuracy: float
    late_gain: float
    train_seconds: float


def trial_row(trial: Trial, cells: Stored) -> TrialRow:
    """The line of a trial from its finished cells."""
    gains = [late_gain(_history(folder)) for folder, _ in cells]
    seconds = [record.cost.train_seconds or 0.0 for _, record in cells if record.cost is not None]
    return TrialRow(
        method=trial.choice.key,
        trial=trial.number,
        settings=json.dumps(dict(trial.changes)),
        val_accuracy=round(float(np.mean([_val_accuracy(*stored) for stored in cells])), 6),
        late_gain=round(float(np.mean(gains)), 6),
        train_seconds=round(float(np.mean(seconds)), 1),
    )


def _val_accuracy(folder: Path, record: Record) -> float:
    figures = evaluation_of(folder, record)
    accuracy = figures.val_accuracy if isinstance(figures, Evaluation) else None
    if accuracy is None:
        raise UserError(f"{folder} has no validation images, which a search is judged on")
    return accuracy


def _history(cell: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(cell / HISTORY)
    except pd.errors.EmptyDataError:  # of a method that trains nothing
        return pd.DataFrame()


def merged(log: Path, rows: Sequence[TrialRow]) -> pd.DataFrame:
    """The log on disk with the rows of the methods searched now replaced."""
    new = pd.DataFrame([asdict(row) for row in rows], columns=list(LOG_COLUMNS))
    if not log.is_file():
        return new
    kept = pd.read_csv(log)
    both = pd.concat([kept[~kept["method"].isin(new["method"])], new])
    return both.sort_values(["method", "trial"]).reset_index(drop=True)


def with_choice(log: pd.DataFrame) -> pd.DataFrame:
    """The log with the chosen trial of each method marked.

    A method and its standing variants share one preset: the trial with the highest mean validation accuracy
    over these rows is chosen for all of them, the earlier one on a tie.
    """
    family = log["method"].map(lambda key: parse_key(key)[0])
    means = log["val_accuracy"].groupby([family, log["trial"]]).mean()
    best = means.groupby(level=0).idxmax().map(lambda place: place[1])
    return log.assign(chosen=log["trial"] == family.map(best))
