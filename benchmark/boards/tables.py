"""The tables of a leaderboard as Markdown, from the summary of its rows; figures in per cent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from tabulate import tabulate

from benchmark.boards.columns import ACCURACY, BY_GROUP, COST_COLUMNS, DECISIONS, OPEN_SET, SEEN_REAL, UNSEEN_REAL
from benchmark.boards.published import PublishedRow
from benchmark.evaluation.parts import ALL

MISSING = "n/a"
_ON_ALL = (ACCURACY, BY_GROUP["auc", ALL], BY_GROUP["oscr", ALL])

if TYPE_CHECKING:
    Line = pd.Series[Any]  # one row of a summary


def open_set_table(sums: pd.DataFrame, splits: int, published: Sequence[PublishedRow] = ()) -> str:
    """Accuracy, AUC and OSCR by group; published rows, which come in per cent, stand last.

    The best mean is bold; rows with fewer splits than others do not compete.

    Args:
        sums: one line for every method, see `benchmark.boards.rows.summary`.
        splits: how many a complete row has.
        published: rows to show with them.
    """
    figures = [column.key for column in OPEN_SET]
    most = sums["splits"].max()
    best = {figure: sums.loc[sums["splits"] == most, f"{figure}_mean"].max() for figure in figures}
    rows = []
    for line in _worst_to_best(sums):
        competes = line["splits"] == most
        values = [percent(line, figure, competes and line[f"{figure}_mean"] == best[figure]) for figure in figures]
        rows.append([line["title"], *values, splits_done(line, splits), line["origin"]])
    for row in published:
        values = [row.text(figure, MISSING) for figure in figures]
        rows.append([row.title, *values, MISSING if row.splits is None else str(row.splits), "published"])
    return markdown(rows, ["Method", *(column.heading for column in OPEN_SET), "Splits", "From"])


def ablation_table(sums: pd.DataFrame, splits: int) -> str:
    """Accuracy, AUC and OSCR on all unknown images, in the order of the lines."""
    rows = [
        [line["title"], *(percent(line, column.key) for column in _ON_ALL), splits_done(line, splits)]
        for _, line in sums.iterrows()
    ]
    return markdown(rows, ["Method", *(column.heading for column in _ON_ALL), "Splits"])


def decision_table(sums: pd.DataFrame) -> str:
    """Known or unknown at the threshold that accepts 95 % of the validation images."""
    rows = [[line["title"], *(percent(line, column.key) for column in DECISIONS)] for line in _worst_to_best(sums)]
    return markdown(rows, ["Method", *(column.heading for column in DECISIONS)])


def cost_table(sums: pd.DataFrame) -> str:
    """Accuracy on real images by whether their source was seen, what a cell costs, and the seeds' spread."""
    auc = BY_GROUP["auc", ALL].key
    rows = [
        [
            line["title"],
            percent(line, SEEN_REAL.key),
            percent(line, UNSEEN_REAL.key),
            *(_count(line, name) for name in COST_COLUMNS[:3]),
            _per_cent(line[f"{auc}_sd_seeds"]),
        ]
        for line in _worst_to_best(sums)
    ]
    real = [SEEN_REAL.heading, UNSEEN_REAL.heading]
    return markdown(rows, ["Method", *real, "Weights", "Training s", "Images/s", "Seed sd of AUC, all"])


def percent(line: Line, figure: str, bold: bool = False) -> str:
    """A figure's mean as per cent, with its deviation over splits where there is one."""
    mean, deviation = line[f"{figure}_mean"], line[f"{figure}_sd_splits"]
    text = f"**{_per_cent(mean)}**" if bold else _per_cent(mean)
    return text if math.isnan(deviation) else f"{text} ± {_per_cent(deviation)}"


def splits_done(line: Line, wanted: int) -> str:
    """`5`, or `3 of 5 (1 failed)`."""
    text = str(line["splits"]) if line["splits"] == wanted else f"{line['splits']} of {wanted}"
    gaps = [f"{line[status]} {status}" for status in ("failed", "skipped") if line[status]]
    return f"{text} ({', '.join(gaps)})" if gaps else text


def _worst_to_best(sums: pd.DataFrame) -> Iterator[Line]:
    """By OSCR on all unknown images, as papers print it; rows without figures come last."""
    for _, line in sums.sort_values(f"{BY_GROUP['oscr', ALL].key}_mean", kind="stable").iterrows():
        yield line


def _per_cent(fraction: float) -> str:
    return MISSING if math.isnan(fraction) else f"{100 * fraction:.2f}"


def _count(line: Line, name: str) -> str:
    value = line[f"{name}_mean"]
    return MISSING if math.isnan(value) else f"{value:,.0f}"


def markdown(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    """A Markdown table; numbers stand as they are written."""
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
