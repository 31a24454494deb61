"""Rows of a leaderboard: committed cells and those of this machine, summed up over seeds and splits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.boards.columns import COST_COLUMNS, FIGURES, costs_of, figures_of
from benchmark.cells.record import Record
from benchmark.cells.store import records_below
from benchmark.evaluation.cell import Figures, evaluation_of
from benchmark.evaluation.figures import Evaluation

COMMITTED, LOCAL = "committed", "this machine"
TABLE_OF_KIND = {"attribution": "attribution", "osr": "open-set", "discovery": "discovery"}
SUMMED = (*FIGURES, *COST_COLUMNS)


@dataclass(frozen=True)
class Entry:
    """A cell with its evaluation (None unless it is done) and where it was found."""

    record: Record
    evaluation: Figures | None
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
        return self.record.made_with.finished

    @property
    def tables(self) -> tuple[str, ...]:
        """The leaderboard tables that show it."""
        return self.record.tables or (TABLE_OF_KIND[self.record.kind],)

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


def merge(committed: Iterable[Entry], local: Iterable[Entry]) -> list[Entry]:
    """One origin for every row: this machine's where it has computed any cell of the row, else the committed ones."""
    local = list(local)
    own = {(entry.key, entry.protocol) for entry in local}
    return [entry for entry in committed if (entry.key, entry.protocol) not in own] + local


def comparable(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of every row that share the settings of its latest one, on the splits that boards average over.

    A row whose method has changed shows its new cells alone until the others are computed again.
    """
    latest = {(entry.key, entry.protocol): entry for entry in sorted(entries, key=lambda entry: entry.finished)}
    splits = {entry.protocol: entry.record.data.splits for entry in entries if entry.record.data}
    return [
        entry
        for entry in entries
        if entry.record.cell.settings == latest[entry.key, entry.protocol].record.cell.settings
        and entry.record.cell.split in splits.get(entry.protocol, [entry.record.cell.split])
    ]


def cells_frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """One line for every cell: what it is, what became of it, its figures and its cost; what is missing is NaN."""
    return _frame([_Line(entry, entry.key, entry.title, figures_of(entry.evaluation)) for entry in entries])


def confidences_frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """The same for the other confidences that methods declare: one line for every cell and confidence."""
    return _frame(
        [
            _Line(entry, f"{entry.key}/{name}", f"{entry.title}: {name}", figures_of(entry.evaluation, curves))
            for entry in entries
            if isinstance(entry.evaluation, Evaluation)
            for name, curves in entry.evaluation.variants.items()
        ]
    )


@dataclass(frozen=True)
class _Line:
    """A cell under the key and title of its row, with the figures that it has."""

    entry: Entry
    method: str
    title: str
    figures: dict[str, float]


def _frame(lines: Sequence[_Line]) -> pd.DataFrame:
    cells = [line.entry.record.cell for line in lines]
    facts = pd.DataFrame(
        {
            "method": [line.method for line in lines],
            "title": [line.title for line in lines],
            "split": [cell.split for cell in cells],
            "seed": [cell.seed for cell in cells],
            "status": [line.entry.record.status for line in lines],
            "origin": [line.entry.origin for line in lines],
            "fingerprint": [cell.fingerprint for cell in cells],
        }
    )
    costs = pd.DataFrame([costs_of(line.entry.record.cost) for line in lines], columns=list(COST_COLUMNS))
    figures = pd.DataFrame([line.figures for line in lines], columns=list(FIGURES), dtype=float)
    return pd.concat([facts, costs.infer_objects(), figures], axis=1)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One line for every method: mean over splits of the means over seeds, their deviation, and the seeds' own.

    Columns `<figure>_mean`, `<figure>_sd_splits` (ddof 1 over splits, NaN below two), `<figure>_sd_seeds`
    (mean over splits of the deviation between seeds), and counts.
    """
    done = frame[frame.status == "done"]
    by_split = done.groupby(["method", "split"])[list(SUMMED)]
    means = by_split.mean().groupby("method")
    parts: list[pd.DataFrame | pd.Series[Any]] = [
        means.mean().add_suffix("_mean"),
        means.std(ddof=1).add_suffix("_sd_splits"),
        by_split.std(ddof=1).groupby("method").mean().add_suffix("_sd_seeds"),
    ]
    counts = frame.groupby("method").agg(title=("title", "first"), origin=("origin", "first"))
    counts["splits"] = done.groupby("method")["split"].nunique()
    counts["seeds"] = done.groupby("method")["seed"].nunique()
    for status in ("failed", "skipped"):
        counts[status] = frame[frame.status == status].groupby("method").size()
    number = ["splits", "seeds", "failed", "skipped"]
    counts[number] = counts[number].fillna(0).astype(int)
    return counts.join(parts)
