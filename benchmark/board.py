"""Rows of a leaderboard: committed cells and those of this machine, summed up over seeds and splits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.evaluator import ALL
from benchmark.store import EVALUATION, Record, records_below
from datasets.splits import GROUPS

COMMITTED, LOCAL = "committed", "this machine"
COLUMNS = (*GROUPS, ALL)


@dataclass(frozen=True)
class Entry:
    """A cell with its evaluation (None unless it is done) and where it was found."""

    record: Record
    evaluation: Mapping[str, Any] | None
    origin: str

    @property
    def protocol(self) -> tuple[str, int | None]:
        """Rows of different protocols never share a table: data recipe and metric version."""
        version = None if self.evaluation is None else self.evaluation["metric_version"]
        return str(self.record.cell["fingerprint"]), version


def load_entries(folder: Path, origin: str) -> list[Entry]:
    """All cells below a folder."""
    entries = []
    for cell, record in records_below(folder):
        path = cell / EVALUATION
        done = record.status == "done" and path.is_file()
        entries.append(Entry(record, json.loads(path.read_text(encoding="utf-8")) if done else None, origin))
    return entries


def merge(committed: Iterable[Entry], local: Iterable[Entry]) -> list[Entry]:
    """One origin a row: this machine's where it has computed any cell of the row, else the committed ones."""
    local = list(local)
    own = {entry.record.key for entry in local}
    return [entry for entry in committed if entry.record.key not in own] + local


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


def cells_frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """One line a cell: what it is, what became of it, its figures and its cost."""
    lines = []
    for entry in entries:
        record = entry.record
        line: dict[str, Any] = {
            "method": record.key,
            "title": record.title,
            "split": record.split,
            "seed": record.seed,
            "status": record.status,
            "origin": entry.origin,
            "fingerprint": record.cell["fingerprint"],
        }
        line |= {f"cost_{name}": value for name, value in record.cost.items()}
        if entry.evaluation is not None:
            line |= cell_values(entry.evaluation)
        lines.append(line)
    return pd.DataFrame(lines)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a method: mean over splits of the means over seeds, their deviation, and the seeds' own.

    Columns `<figure>_mean`, `<figure>_sd` (ddof 1 over splits, NaN below two), `<figure>_seed_sd`
    (mean over splits of the deviation between seeds), and counts.
    """
    done = frame[frame.status == "done"]
    names = [str(column) for column in frame.columns]
    figures = [name for name in names if name.startswith("cost_") or name in cell_values(_EMPTY)]
    by_split = done.groupby(["method", "split"])[figures]
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


_EMPTY: dict[str, Any] = {"groups": {group: {"auc": None, "oscr": None} for group in COLUMNS}, "decisions": {}}
