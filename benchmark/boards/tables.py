"""The tables of a leaderboard as Markdown, from the summary of its rows; figures in per cent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from tabulate import tabulate

from benchmark.boards.rows import COLUMNS

GROUP_TITLES = {"seed": "Unseen seed", "arch": "Unseen architecture", "dataset": "Unseen data", "all": "Unseen all"}
MISSING = "n/a"

if TYPE_CHECKING:
    Line = pd.Series[Any]  # one row of a summary


def open_set_table(sums: pd.DataFrame, splits: int, published: Sequence[Mapping[str, Any]] = ()) -> str:
    """Accuracy, AUC and OSCR by group; published rows, which come in per cent, stand last.

    The best mean is bold; rows with fewer splits than others do not compete.

    Args:
        sums: one line a method, see `benchmark.boards.rows.summary`.
        splits: how many a complete row has.
        published: title and figures of rows to show beside.
    """
    figures = ["accuracy", *(f"{metric}_{group}" for group in COLUMNS for metric in ("auc", "oscr"))]
    most = sums["splits"].max()
    best = {figure: sums.loc[sums["splits"] == most, f"{figure}_mean"].max() for figure in figures}
    rows = []
    for line in _worst_to_best(sums):
        competes = line["splits"] == most
        values = [percent(line, figure, competes and line[f"{figure}_mean"] == best[figure]) for figure in figures]
        rows.append([line["title"], *values, splits_done(line, splits), line["origin"]])
    for entry in published:
        values = [f"{entry[figure]:.2f}" if figure in entry else MISSING for figure in figures]
        rows.append([entry["title"], *values, str(entry.get("splits", MISSING)), "published"])
    headers = ["Method", "Accuracy ↑", *(f"{GROUP_TITLES[g]} {m} ↑" for g in COLUMNS for m in ("AUC", "OSCR"))]
    return markdown(rows, [*headers, "Splits", "From"])


def ablation_table(sums: pd.DataFrame, splits: int) -> str:
    """Accuracy, AUC and OSCR on all unknown images, in the order of the lines."""
    figures = ["accuracy", "auc_all", "oscr_all"]
    rows = [
        [line["title"], *(percent(line, figure) for figure in figures), splits_done(line, splits)]
        for _, line in sums.iterrows()
    ]
    return markdown(rows, ["Method", "Accuracy ↑", "Unseen all AUC ↑", "Unseen all OSCR ↑", "Splits"])


def decision_table(sums: pd.DataFrame) -> str:
    """Known or unknown at the threshold that accepts 95 % of the validation images."""
    figures = ["known_accepted", *(f"rejected_{group}" for group in COLUMNS), "k_plus_1_accuracy"]
    rejected = (f"{GROUP_TITLES[group]} rejected ↑" for group in COLUMNS)
    rows = [[line["title"], *(percent(line, figure) for figure in figures)] for line in _worst_to_best(sums)]
    return markdown(rows, ["Method", "Known accepted ↑", *rejected, "K+1 accuracy ↑"])


def cost_table(sums: pd.DataFrame) -> str:
    """Accuracy on real images by whether their source was seen, what a cell costs, and the seeds' spread."""
    rows = [
        [
            line["title"],
            percent(line, "accuracy_seen_real"),
            percent(line, "accuracy_unseen_real"),
            *(_count(line, f"cost_{name}") for name in ("parameters", "train_seconds", "images_per_second")),
            _per_cent(line["auc_all_seed_sd"]),
        ]
        for line in _worst_to_best(sums)
    ]
    real = ["Real, seen sources ↑", "Real, unseen sources ↑"]
    return markdown(rows, ["Method", *real, "Weights", "Training s", "Images/s", "Seed sd of AUC, all"])


def percent(line: Line, figure: str, bold: bool = False) -> str:
    """A figure's mean as per cent, with its deviation over splits where there is one."""
    mean, deviation = line[f"{figure}_mean"], line[f"{figure}_sd"]
    text = f"**{_per_cent(mean)}**" if bold else _per_cent(mean)
    return text if math.isnan(deviation) else f"{text} ± {_per_cent(deviation)}"


def splits_done(line: Line, wanted: int) -> str:
    """`5`, or `3 of 5 (1 failed)`."""
    text = str(line["splits"]) if line["splits"] == wanted else f"{line['splits']} of {wanted}"
    gaps = [f"{line[status]} {status}" for status in ("failed", "skipped") if line[status]]
    return f"{text} ({', '.join(gaps)})" if gaps else text


def _worst_to_best(sums: pd.DataFrame) -> Iterator[Line]:
    """By OSCR on all unknown images, as papers print it; rows without figures come last."""
    for _, line in sums.sort_values("oscr_all_mean", kind="stable").iterrows():
        yield line


def _per_cent(fraction: float) -> str:
    return MISSING if math.isnan(fraction) else f"{100 * fraction:.2f}"


def _count(line: Line, name: str) -> str:
    value = line[f"{name}_mean"]
    return MISSING if math.isnan(value) else f"{value:,.0f}"


def markdown(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    """A Markdown table; numbers stand as they are written."""
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
