"""Rows of a leaderboard: committed cells and those of this machine, summed up over seeds and splits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.cells.store import EVALUATION, Record, records_below
from benchmark.evaluation.cell import evaluate_cell, evidence
from benchmark.evaluation.evaluator import ALL
from benchmark.metrics import open_set as metrics
from datasets.errors import UserError
from datasets.splits import UNKNOWN_GROUPS

COMMITTED, LOCAL = "committed", "this machine"
COLUMNS = (*UNKNOWN_GROUPS, ALL)


@dataclass(frozen=True)
class Entry:
    """A cell with its evaluation (None unless it is done) and where it was found."""

    record: Record
    evaluation: Mapping[str, Any] | None
    origin: str

    @property
    def key(self) -> str:
        """The row that it belongs to."""
        return self.record.cell.key

    @property
    def protocol(self) -> tuple[str, int]:
        """Rows of different protocols never share a table: data recipe and rules."""
        return self.record.cell.fingerprint, self.record.cell.protocol

    @property
    def finished(self) -> str:
        """When, in a form that sorts."""
        return str(self.record.made_with.get("finished", ""))

    @property
    def title(self) -> str:
        """The method's title, with its variant where it has one."""
        variant = self.record.cell.variant
        return f"{self.record.title} ({variant})" if variant else self.record.title


def load_entries(folder: Path, origin: str) -> list[Entry]:
    """All cells below a folder, each with figures of today's definitions."""
    return [
        Entry(record, evaluation_of(cell, record) if record.status == "done" else None, origin)
        for cell, record in records_below(folder)
    ]


def evaluation_of(folder: Path, record: Record) -> Mapping[str, Any]:
    """The stored figures; fresh ones where these are missing, unreadable or of other definitions.

    Raises:
        UserError: the figures are not there and neither are the predictions.
    """
    try:
        stored: dict[str, Any] = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
        if stored["metric_version"] == metrics.VERSION:
            return stored
    except (OSError, ValueError, KeyError, TypeError):
        pass
    source = evidence(record.kind)
    if not (folder / source).is_file():
        raise UserError(f"{folder} has lost its {source}; delete the folder to compute the cell again")
    return evaluate_cell(folder, record.data)


def merge(committed: Iterable[Entry], local: Iterable[Entry]) -> list[Entry]:
    """One origin a row: this machine's where it has computed any cell of the row, else the committed ones."""
    local = list(local)
    own = {(entry.key, entry.protocol) for entry in local}
    return [entry for entry in committed if (entry.key, entry.protocol) not in own] + local


def comparable(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of every row that share the settings of its latest one, on the splits that boards average over.

    A row whose method has changed shows its new cells alone until the others are computed again.
    """
    latest = {(entry.key, entry.protocol): entry for entry in sorted(entries, key=lambda entry: entry.finished)}
    splits = {entry.protocol: entry.record.data["splits"] for entry in entries if entry.record.data}
    return [
        entry
        for entry in entries
        if entry.record.cell.settings == latest[entry.key, entry.protocol].record.cell.settings
        and entry.record.cell.split in splits.get(entry.protocol, [entry.record.cell.split])
    ]


def cell_values(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one cell that boards show, as flat names and fractions; what is missing is NaN."""
    values = {
        name: evaluation.get(name)
        for name in ("accuracy", "macro_recall", "accuracy_seen_real", "accuracy_unseen_real", "val_accuracy")
    }
    for group in COLUMNS:
        curve = evaluation["groups"][group]
        values |= {f"auc_{group}": curve["auc"], f"oscr_{group}": curve["oscr"]}
        rejected = evaluation["decisions"].get("unknown_rejected", {})
        values[f"rejected_{group}"] = rejected.get(group)
    values["known_accepted"] = evaluation["decisions"].get("known_accepted")
    values["k_plus_1_accuracy"] = evaluation["decisions"].get("k_plus_1_accuracy")
    return {name: np.nan if value is None else float(value) for name, value in values.items()}


_EMPTY: dict[str, Any] = {"groups": {group: {"auc": None, "oscr": None} for group in COLUMNS}, "decisions": {}}
_COSTS = ("parameters", "train_seconds", "images_per_second", "peak_memory")
FIGURES = (*cell_values(_EMPTY), *(f"cost_{name}" for name in _COSTS))


def cells_frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """One line a cell: what it is, what became of it, its figures and its cost."""
    return pd.DataFrame([_line(entry, entry.key, entry.title, entry.evaluation) for entry in entries])


def confidences_frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """The same for the other confidences that methods declare: one line a cell and confidence."""
    return pd.DataFrame(
        [
            _line(entry, f"{entry.key}/{name}", f"{entry.title}: {name}", {**entry.evaluation, "groups": groups})
            for entry in entries
            if entry.evaluation is not None
            for name, groups in entry.evaluation["variants"].items()
        ]
    )


def _line(entry: Entry, key: str, title: str, evaluation: Mapping[str, Any] | None) -> dict[str, Any]:
    cell, record = entry.record.cell, entry.record
    return {
        "method": key,
        "title": title,
        "split": cell.split,
        "seed": cell.seed,
        "status": record.status,
        "origin": entry.origin,
        "fingerprint": cell.fingerprint,
        **{f"cost_{name}": record.cost.get(name, np.nan) for name in _COSTS},
        **cell_values(_EMPTY if evaluation is None else evaluation),
    }


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a method: mean over splits of the means over seeds, their deviation, and the seeds' own.

    Columns `<figure>_mean`, `<figure>_sd` (ddof 1 over splits, NaN below two), `<figure>_seed_sd`
    (mean over splits of the deviation between seeds), and counts.
    """
    done = frame[frame.status == "done"]
    by_split = done.groupby(["method", "split"])[list(FIGURES)]
    means = by_split.mean().groupby("method")
    parts: list[pd.DataFrame | pd.Series[Any]] = [
        means.mean().add_suffix("_mean"),
        means.std(ddof=1).add_suffix("_sd"),
        by_split.std(ddof=1).groupby("method").mean().add_suffix("_seed_sd"),
    ]
    counts = frame.groupby("method").agg(title=("title", "first"), origin=("origin", "first"))
    counts["splits"] = done.groupby("method")["split"].nunique()
    counts["seeds"] = done.groupby("method")["seed"].nunique()
    for status in ("failed", "skipped"):
        counts[status] = frame[frame.status == status].groupby("method").size()
    number = ["splits", "seeds", "failed", "skipped"]
    counts[number] = counts[number].fillna(0).astype(int)
    return counts.join(parts)
