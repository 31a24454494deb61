"""AUC over the epochs of a training as frame and table, from the curves that cells keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from benchmark.boards.rows import Entry
from benchmark.boards.tables import MISSING, markdown
from benchmark.evaluation.figures import GROUPS, Epoch, Evaluation
from benchmark.evaluation.parts import ALL

SHOWN = 10  # columns of the table, spread over the epochs
FIGURES = ("accuracy", *(f"auc_unseen_{group}" for group in GROUPS))
AUC = f"auc_unseen_{ALL}"
TITLE = "AUC of all unknown test images over epochs of training (watched, never used to choose)"


def curves_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """One line for every cell and epoch of its last stage; `epoch` counts from 1. Empty where no cell has a curve."""
    lines = [(entry, epoch) for entry in entries for epoch in _last_stage(entry)]
    if not lines:
        return pd.DataFrame()
    cells = [entry.record.cell for entry, _ in lines]
    facts = {
        "method": [entry.key for entry, _ in lines],
        "title": [entry.title for entry, _ in lines],
        "split": [cell.split for cell in cells],
        "seed": [cell.seed for cell in cells],
        "stage": [epoch.stage for _, epoch in lines],
        "epoch": [epoch.epoch + 1 for _, epoch in lines],
        "accuracy": [epoch.accuracy for _, epoch in lines],
    }
    areas = {f"auc_unseen_{group}": [epoch.auc.get(group, np.nan) for _, epoch in lines] for group in GROUPS}
    return pd.DataFrame(facts | areas)


def _last_stage(entry: Entry) -> Iterator[Epoch]:
    epochs = entry.evaluation.epochs if isinstance(entry.evaluation, Evaluation) else ()
    return (epoch for epoch in epochs if epoch.stage == epochs[-1].stage)


def mean_curves(frame: pd.DataFrame) -> pd.DataFrame:
    """(methods, epochs): AUC of all unknown images, mean over seeds, then over splits."""
    by_split = frame.groupby(["title", "epoch", "split"], sort=False)[AUC].mean()
    return by_split.groupby(["title", "epoch"], sort=False).mean().unstack("epoch").sort_index(axis=1)


def curve_table(frame: pd.DataFrame) -> str:
    """One row for every method, its best epoch beside some of the epochs; per cent."""
    means = mean_curves(frame)
    epochs = means.columns.to_numpy()
    shown = epochs[np.unique(np.linspace(0, len(epochs) - 1, min(SHOWN, len(epochs))).round().astype(int))]
    rows = [
        [title, *(_per_cent(line[number]) for number in shown), f"{_per_cent(line.max())} ({line.idxmax()})"]
        for title, line in means.iterrows()
    ]
    headers = ["Method", *(f"epoch {number}" for number in shown), "highest (epoch)"]
    return markdown(rows, headers)


def _per_cent(value: float) -> str:
    return MISSING if np.isnan(value) else f"{100 * value:.2f}"
