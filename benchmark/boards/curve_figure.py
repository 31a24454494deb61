"""The picture of AUC over the epochs of a training."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.boards.curve_table import mean_curves
from benchmark.boards.figures import MARKERS, PALETTE
from datasets.core.partial import whole_file


def draw_curves(frame: pd.DataFrame, title: str, path: Path) -> Path:
    """One line for every method: AUC of all unknown images against the epoch."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for position, (name, line) in enumerate(mean_curves(frame).iterrows()):
        colour, marker = PALETTE[position % len(PALETTE)], MARKERS[position // len(PALETTE) % len(MARKERS)]
        axes.plot(line.index, 100 * line, color=colour, marker=marker, markersize=4, label=str(name))
    axes.set(xlabel="epoch", ylabel="AUC, known against all unknown (%)", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="0.92")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize="small")
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, dpi=130, format="png")
    return path
