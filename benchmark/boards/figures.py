"""Pictures of a leaderboard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from benchmark.boards.columns import ACCURACY, BY_GROUP
from benchmark.boards.label_places import places
from benchmark.boards.leaderboard import Board
from benchmark.boards.rows import cells_frame, summary
from benchmark.evaluation.parts import ALL
from datasets.core.partial import whole_file

CHANCE = 50.0
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito, 2008
MARKERS = "osD^vPX"
CROWD = 8  # rows; fewer need no enlarged panel
OUTER_FENCE = 3.0  # interquartile ranges; Tukey, Exploratory Data Analysis, 1977
NUMBER_SIZE = (11.0, 9.0)  # of two digits, in typographic points
INCH = 72.0  # typographic points
AXES = [ACCURACY.key, BY_GROUP["auc", ALL].key]
_HALO = [withStroke(linewidth=2, foreground="white")]  # keeps numbers readable on bars


def accuracy_against_auc(board: Board, path: Path) -> Path:
    """Closed-set accuracy against AUC on all unknown images: one numbered point for every method, with its deviations.

    Where some rows lie far off, a second panel enlarges the others.

    Args:
        board: rows of one protocol.
    """
    figure = draw(summary(cells_frame(board.entries)), board.name)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, dpi=130, format="png")
    return path


def draw(sums: pd.DataFrame, title: str) -> Figure:
    """That picture of the rows of a summary that have both figures."""
    auc = f"{AXES[1]}_mean"
    sums = sums[sums[auc].notna()].sort_values(auc, ascending=False)
    middles, spreads = (
        100 * sums[[f"{name}_{what}" for name in AXES]].to_numpy(float) for what in ("mean", "sd_splits")
    )
    far = far_off(middles)
    figure = Figure(figsize=(11.0, 5.0) if far.any() else (8.5, 5.4), layout="constrained")
    panels = list(figure.subplots(1, 1 + int(far.any()), squeeze=False)[0])
    for axes in panels:
        _points(axes, middles, spreads)
    _chance(panels[0])
    panels[0].set(ylabel="AUC, known against all unknown (%)", title=title)
    if far.any():
        _enlarge(panels[0], panels[1], middles[~far], np.nan_to_num(spreads[~far]))
    figure.legend(
        handles=[_handle(position, title) for position, title in enumerate(sums["title"])], fontsize="small",
        title="by AUC; bars: standard\ndeviation over splits", title_fontsize="small",
        loc="outside right center", alignment="left", frameon=False,
    )  # fmt: skip
    figure.draw_without_rendering()  # fixes where the panels are, which the places of numbers depend on
    inside = _inside(panels[-1], middles)
    _number(panels[-1], middles, np.flatnonzero(inside))
    _number(panels[0], middles, np.flatnonzero(~inside))
    return figure


def far_off(middles: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) which of N rows lie outside Tukey's outer fences in either of two figures (N, 2)."""
    if len(middles) < CROWD:
        return np.zeros(len(middles), dtype=np.bool_)
    low, high = np.quantile(middles, [0.25, 0.75], axis=0)
    fence = OUTER_FENCE * (high - low)
    return np.asarray(((middles < low - fence) | (middles > high + fence)).any(axis=1))


def _style(position: int) -> tuple[str, str]:
    """Colour and marker, which together tell up to 49 methods apart."""
    return PALETTE[position % len(PALETTE)], MARKERS[position // len(PALETTE) % len(MARKERS)]


def _handle(position: int, title: str) -> Line2D:
    colour, marker = _style(position)
    return Line2D([], [], color=colour, marker=marker, linestyle="", label=f"{position + 1}  {title}")


def _points(axes: Axes, middles: NDArray[np.float64], spreads: NDArray[np.float64]) -> None:
    for position, ((x, y), (wide, high)) in enumerate(zip(middles, spreads, strict=True)):
        colour, marker = _style(position)
        across, along = None if pd.isna(wide) else wide, None if pd.isna(high) else high
        axes.errorbar(x, y, along, across, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.45, zorder=2)
        axes.plot(x, y, marker, color=colour, markersize=6, markeredgecolor="white", markeredgewidth=0.6, zorder=3)
    axes.set_xlabel("closed-set accuracy (%)")
    axes.grid(color="0.92")
    axes.set_axisbelow(True)


def _chance(axes: Axes) -> None:
    axes.axhline(CHANCE, color="0.6", linewidth=0.8, linestyle="--")
    axes.annotate("chance", (1, CHANCE), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="0.4")


def _enlarge(whole: Axes, part: Axes, middles: NDArray[np.float64], spreads: NDArray[np.float64]) -> None:
    """Limit a panel to some points with their deviations, and frame that part in the other panel."""
    low, high = (middles - spreads).min(axis=0), (middles + spreads).max(axis=0)
    margin = np.maximum(0.04 * (high - low), 0.2)
    (left, bottom), (right, top) = low - margin, high + margin
    part.set(xlim=(left, right), ylim=(bottom, top), title="the framed part, enlarged")
    whole.plot([left, right, right, left, left], [bottom, bottom, top, top, bottom], color="0.5", linewidth=0.8)


def _inside(axes: Axes, middles: NDArray[np.float64]) -> NDArray[np.bool_]:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x, y = middles.T
    return np.asarray((left < x) & (x < right) & (bottom < y) & (y < top))


def _number(axes: Axes, middles: NDArray[np.float64], positions: NDArray[np.int64]) -> None:
    """Write the numbers of some points beside them, joined to their points by lines."""
    unit = INCH / axes.figure.dpi  # typographic points per pixel
    points = unit * axes.transData.transform(middles)
    box = axes.get_window_extent()
    area = unit * np.array([[box.x0, box.y0], [box.x1, box.y1]])
    for position, place in zip(positions, places(points, NUMBER_SIZE, area)[positions], strict=True):
        axes.annotate(
            str(position + 1), middles[position], place - points[position], textcoords="offset points",
            ha="center", va="center", fontsize=8, color="0.15", zorder=4, path_effects=_HALO,
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip
