"""Pictures of a leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.board import cells_frame, summary
from benchmark.leaderboard import Board

CHANCE = 50.0
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito, 2008
MARKERS = "osD^vPX"


def accuracy_against_auc(board: Board, path: Path) -> Path:
    """One point a method: closed-set accuracy against AUC on all unknown images, with deviations over splits.

    Args:
        board: rows of one protocol.
    """
    sums = summary(cells_frame(board.entries))
    sums = sums[sums["auc_all_mean"].notna()].sort_values("auc_all_mean", ascending=False)
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes = figure.subplots()
    for position, (_, line) in enumerate(sums.iterrows()):
        _point(axes, position, line)
    axes.axhline(CHANCE, color="0.6", linewidth=0.8, linestyle="--")
    axes.annotate("chance", (1, CHANCE), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="0.4")
    axes.set(xlabel="closed-set accuracy (%)", ylabel="AUC, known against all unknown (%)", title=board.name)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _point(axes: Axes, position: int, line: pd.Series[Any]) -> None:
    """A mean with its deviations; colour and marker together tell up to 49 methods apart."""
    colour, marker = PALETTE[position % len(PALETTE)], MARKERS[position // len(PALETTE) % len(MARKERS)]
    axes.errorbar(
        100 * line["accuracy_mean"], 100 * line["auc_all_mean"],
        xerr=_deviation(line, "accuracy"), yerr=_deviation(line, "auc_all"),
        fmt=marker, color=colour, ecolor=colour, elinewidth=0.8, capsize=2, markersize=7, label=line["title"],
    )  # fmt: skip


def _deviation(line: pd.Series[Any], figure: str) -> float | None:
    value = line[f"{figure}_sd"]
    return None if pd.isna(value) else 100 * float(value)
