"""The discovery table: how well groups of known and unknown images agree with the true models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmark.boards.rows import Entry
from benchmark.boards.tables import MISSING, markdown, percent, splits_done
from benchmark.evaluation.pools import ALL, POOLS

FIGURES = ("purity", "nmi", "ari")
HEADERS = ("Method", "Learns from", "Number of groups", "k", "Purity ↑", "NMI ↑", "ARI ↑")
TRANSDUCTIVE, INDUCTIVE = "labelled + unlabelled pool", "labelled only"
OWN, TRUE_NUMBER = "its own", "of classes"
NORMALISATIONS = {
    "none": "", "l2": ", features scaled to length 1", "standardize": ", features standardised on training images",
}  # fmt: skip
POOL_TITLES = {ALL: "all test images", **{pool: f"{pool} test images" for pool in POOLS if pool != ALL}}

Numbers = Mapping[tuple[str, int, str], Mapping[str, int]]  # split, seed, pool -> title -> groups found
Row = dict[str, Any]


def discovery_sections(
    entries: Sequence[Entry], splits: int, published: Sequence[Mapping[str, Any]] = ()
) -> Iterator[tuple[str, str]]:
    """Titles and tables: all test images first, then whatever else was computed.

    Purity grows with the number of groups, so every row shows it, and rows of one rule stand together.

    Args:
        entries: cells of one protocol.
        splits: how many a complete row has.
        published: rows to show beside the first table, in per cent.
    """
    own, clustered = own_rows(entries), clustered_rows(entries)
    for pool in POOLS:
        found = [row for row in own if (row["pool"], row["of"]) == (pool, "all")]
        for normalisation, how in NORMALISATIONS.items():
            rows = [row for row in clustered if (row["pool"], row["normalisation"]) == (pool, normalisation)]
            is_first = (pool, normalisation) == (ALL, "none")
            if rows or (is_first and found):
                beside = published if is_first else ()
                yield f"Discovery: {POOL_TITLES[pool]}{how}", table([*found, *rows], splits, beside)
    discovered = [row for row in own if (row["pool"], row["of"]) == (ALL, "discovered")]
    if discovered:
        yield "Discovery: without images that were only put to the nearest group", table(discovered, splits)


def own_rows(entries: Sequence[Entry]) -> list[Row]:
    """One row a discovery cell and set of images; cells that are not done have one without figures."""
    return [
        _row(entry, values, TRANSDUCTIVE, OWN, values["groups"])
        for entry in entries
        if entry.record.kind == "discovery"
        for values in (entry.evaluation or {"clusterings": [_NOTHING]}).get("clusterings", ())
    ]


_NOTHING: Row = {"pool": ALL, "of": "all", "groups": None, **dict.fromkeys(FIGURES)}


def clustered_rows(entries: Sequence[Entry]) -> list[Row]:
    """One row a cell, clustering and rule that asks for its number of groups."""
    found = numbers_found(entries)
    return [
        _row(entry, values, INDUCTIVE, rule, values["k"])
        for entry in entries
        if entry.record.kind != "discovery" and entry.evaluation is not None
        for values in entry.evaluation.get("clusterings", ())
        for rule in rules(values, found.get((*_place(entry), values["pool"]), {}))
    ]


def _place(entry: Entry) -> tuple[str, int]:
    return entry.record.cell.split, entry.record.cell.seed


def numbers_found(entries: Sequence[Entry]) -> Numbers:
    """How many groups every discovery method has on a split and seed, by pool."""
    numbers: dict[tuple[str, int, str], dict[str, int]] = {}
    for entry in entries:
        if entry.record.kind == "discovery" and entry.evaluation is not None:
            for values in entry.evaluation.get("clusterings", ()):
                if values["of"] == "all":
                    numbers.setdefault((*_place(entry), values["pool"]), {})[entry.title] = values["groups"]
    return numbers


def rules(values: Mapping[str, Any], found: Mapping[str, int]) -> list[str]:
    """Who asks for this number of groups: discovery methods, the true classes, or somebody by hand."""
    named = [f"of {title}" for title, groups in found.items() if groups == values["k"]]
    named += [TRUE_NUMBER] if values["k"] == values["classes"] else []
    return named or [f"fixed {values['k']}"]


def _row(entry: Entry, values: Mapping[str, Any], learns: str, rule: str, k: int | None) -> Row:
    cell = entry.record.cell
    return {
        "title": entry.title, "key": entry.key, "learns": learns, "rule": rule, "split": cell.split, "seed": cell.seed,
        "start": values.get("seed", 0), "k": k, "pool": values["pool"], "of": values["of"], "origin": entry.origin,
        "normalisation": values.get("normalisation", ""), "status": entry.record.status,
        **{name: values[name] for name in FIGURES}, "coverage": values.get("coverage", 1.0),
    }  # fmt: skip


def table(rows: Sequence[Row], splits: int, published: Sequence[Mapping[str, Any]] = ()) -> str:
    """Markdown: mean over k-means seeds and seeds of a split, then mean ± deviation over splits.

    Rows of one rule stand together, the discovery method's own first, the best ARI last, which unlike
    the other two does not drift with the number of groups.
    """
    frame = pd.DataFrame(rows)
    lines = [_line(group) for _, group in frame.groupby(["rule", "key"], sort=False)]
    lines.sort(key=lambda line: (line["rule"] != OWN, line["rule"] == TRUE_NUMBER, line["rule"], line["ari_mean"]))
    shown = [
        [
            *(line["title"], line["learns"], line["rule"], line["k"]),
            *(percent(line, figure) for figure in FIGURES),
            *(line["start_sd"], line["coverage"], splits_done(line, splits), line["origin"]),
        ]
        for line in lines
    ]
    for entry in published:
        figures = [f"{entry[figure]:.2f}" if figure in entry else MISSING for figure in FIGURES]
        number = str(entry.get("k", MISSING))
        shown.append([entry["title"], MISSING, MISSING, number, *figures, MISSING, MISSING, MISSING, "published"])
    headers = [*HEADERS, "k-means sd of ARI", "Images", "Splits", "From"]
    return markdown(shown, headers)


def _line(group: pd.DataFrame) -> pd.Series[Any]:
    """One row of the table from all its cells and k-means seeds."""
    first, done = group.iloc[0], group[group["status"] == "done"]
    figures = done[["split", *FIGURES]].astype(dict.fromkeys(FIGURES, float))
    means = figures.groupby("split")[list(FIGURES)].mean()
    starts = float(done.groupby(["split", "seed"])["ari"].std(ddof=1).mean())
    cells = group.drop_duplicates(["split", "seed"])["status"].value_counts()
    line = {name: first[name] for name in ("title", "learns", "rule", "origin")} | {
        "k": _range(done["k"]),
        "start_sd": MISSING if math.isnan(starts) else f"{100 * starts:.2f}",
        "coverage": f"{100 * done['coverage'].mean():.1f} %" if len(done) else MISSING,
        "splits": done["split"].nunique(),
        **{status: int(cells.get(status, 0)) for status in ("failed", "skipped")},
        **{f"{name}_mean": means[name].mean() for name in FIGURES},
        **{f"{name}_sd": means[name].std(ddof=1) for name in FIGURES},
    }
    return pd.Series(line)


def _range(numbers: pd.Series[Any]) -> str:
    if not len(numbers):
        return MISSING
    lowest, highest = int(numbers.min()), int(numbers.max())
    return str(lowest) if lowest == highest else f"{lowest}–{highest}"
