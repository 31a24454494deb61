"""AUC over rounds of training as frame and table, from the curves that cells keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.boards.rows import Entry
from benchmark.boards.tables import markdown

SHOWN = 10  # columns of the table, spread over the rounds
FIGURES = ("accuracy", "auc_seed", "auc_arch", "auc_dataset", "auc_all")
TITLE = "AUC of all unknown test images over rounds of training (watched, never used to choose)"


def curves_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """One line a cell and round of its last stage; `round` counts from 1. Empty where no cell has a curve."""
    rows = [
        {
            "method": entry.key, "title": entry.title, "split": entry.record.cell.split,
            "seed": entry.record.cell.seed, "stage": row["stage"], "round": int(row["epoch"]) + 1,
            **{name: row[name] for name in FIGURES},
        }
        for entry in entries
        if entry.evaluation is not None and entry.evaluation.get("curve")
        for row in entry.evaluation["curve"]
        if row["stage"] == entry.evaluation["curve"][-1]["stage"]
    ]  # fmt: skip
    return pd.DataFrame(rows).astype(dict.fromkeys(FIGURES, float)) if rows else pd.DataFrame()


def mean_curves(frame: pd.DataFrame) -> pd.DataFrame:
    """(methods, rounds): AUC of all unknown images, mean over seeds, then over splits."""
    by_split = frame.groupby(["title", "round", "split"], sort=False)["auc_all"].mean()
    return by_split.groupby(["title", "round"], sort=False).mean().unstack("round").sort_index(axis=1)


def curve_table(frame: pd.DataFrame) -> str:
    """One row a method, its best round beside some of the rounds; per cent."""
    means = mean_curves(frame)
    rounds = means.columns.to_numpy()
    shown = rounds[np.unique(np.linspace(0, len(rounds) - 1, min(SHOWN, len(rounds))).round().astype(int))]
    rows = [
        [title, *(_per_cent(line[number]) for number in shown), f"{_per_cent(line.max())} ({line.idxmax()})"]
        for title, line in means.iterrows()
    ]
    headers = ["Method", *(f"round {number}" for number in shown), "highest (round)"]
    return markdown(rows, headers)


def _per_cent(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{100 * value:.2f}"
