"""The discovery table: how well clusters of known and unknown images agree with the true models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from benchmark.boards.published import PublishedRow
from benchmark.boards.rows import Entry
from benchmark.boards.tables import MISSING, markdown, percent, splits_done
from benchmark.evaluation.figures import Clusters, DiscoveryEvaluation, Evaluation, FoundClusters, KMeansClusters
from benchmark.evaluation.parts import ALL, POOLS
from benchmark.metrics.clustering import CLUSTER_METRICS

TABLE = "discovery"  # the leaderboard table of methods that group a pool
FIGURES = tuple(CLUSTER_METRICS)
HEADERS = (
    "Method", "Learns from", "Number of groups", "k", *(metric.heading for metric in CLUSTER_METRICS.values()),
)  # fmt: skip
TRANSDUCTIVE, INDUCTIVE = "labelled + unlabelled pool", "labelled only"
OWN, TRUE_NUMBER = "its own", "of classes"
NORMALISATIONS = {
    "none": "", "l2": ", features scaled to length 1", "standardize": ", features standardised on training images",
}  # fmt: skip
POOL_TITLES = {ALL: "all test images", **{pool: f"{pool} test images" for pool in POOLS if pool != ALL}}

Numbers = Mapping[tuple[str, int, str], Mapping[str, int]]  # split, seed, pool -> title -> clusters found


@dataclass(frozen=True)
class Row:
    """One clustering of one cell as the table sees it; a cell that is not done has no figures.

    Attributes:
        title, key, origin, status, split, seed: of the cell.
        learns: which images the method learns from.
        rule: who asked for so many clusters; `k` is how many were formed, fewer where features are alike.
        start: seed of k-means.
        pool, of, normalisation, coverage: what was clustered.
        purity, nmi, ari: fractions.
    """

    title: str
    key: str
    origin: str
    status: str
    split: str
    seed: int
    learns: str
    rule: str
    k: int | None = None
    start: int = 0
    pool: str = ALL
    of: str = "all"
    normalisation: str = ""
    coverage: float | None = 1.0
    purity: float | None = None
    nmi: float | None = None
    ari: float | None = None


def discovery_sections(
    entries: Sequence[Entry], splits: int, published: Sequence[PublishedRow] = ()
) -> Iterator[tuple[str, str]]:
    """Titles and tables: all test images first, then whatever else was computed.

    Purity grows with the number of clusters, so every row shows it, and rows of one rule stand together.

    Args:
        entries: cells of one protocol.
        splits: how many a complete row has.
        published: rows to show in the first table, in per cent.
    """
    own, clustered = own_rows(entries), clustered_rows(entries)
    for pool in POOLS:
        found = [row for row in own if (row.pool, row.of) == (pool, "all")]
        for normalisation, how in NORMALISATIONS.items():
            rows = [row for row in clustered if (row.pool, row.normalisation) == (pool, normalisation)]
            is_first = (pool, normalisation) == (ALL, "none")
            if rows or (is_first and found):
                title = f"Discovery: {POOL_TITLES[pool]}{how}"
                yield title, table([*found, *rows], splits, published if is_first else ())
    discovered = [row for row in own if (row.pool, row.of) == (ALL, "discovered")]
    if discovered:
        yield "Discovery: without images that were only put to the nearest group", table(discovered, splits)


def own_rows(entries: Sequence[Entry]) -> list[Row]:
    """One row for every discovery cell and set of images; cells that are not done have one without figures."""
    return [row for entry in entries if TABLE in entry.tables for row in _own(entry)]


def _own(entry: Entry) -> Iterator[Row]:
    if not isinstance(entry.evaluation, DiscoveryEvaluation):
        yield _row(entry, None, TRANSDUCTIVE, OWN)
        return
    for clusters in entry.evaluation.clusterings:
        yield _row(entry, clusters, TRANSDUCTIVE, OWN)


def clustered_rows(entries: Sequence[Entry]) -> list[Row]:
    """One row for every cell, clustering and rule that asks for its number of clusters."""
    found = numbers_found(entries)
    return [
        _row(entry, clusters, INDUCTIVE, rule)
        for entry in entries
        if isinstance(entry.evaluation, Evaluation)
        for clusters in entry.evaluation.clusterings
        for rule in rules(clusters, found.get((*_place(entry), clusters.pool), {}))
    ]


def _place(entry: Entry) -> tuple[str, int]:
    return entry.record.cell.split, entry.record.cell.seed


def numbers_found(entries: Sequence[Entry]) -> Numbers:
    """How many clusters every discovery method has on a split and seed, by pool."""
    numbers: dict[tuple[str, int, str], dict[str, int]] = {}
    for entry in entries:
        if isinstance(entry.evaluation, DiscoveryEvaluation):
            for clusters in entry.evaluation.clusterings:
                if clusters.of == "all":
                    numbers.setdefault((*_place(entry), clusters.pool), {})[entry.title] = clusters.clusters
    return numbers


def rules(clusters: KMeansClusters, found: Mapping[str, int]) -> list[str]:
    """Who asks for this number of clusters: discovery methods, the true classes, or somebody by hand."""
    named = [f"of {title}" for title, number in found.items() if number == clusters.k]
    named += [TRUE_NUMBER] if clusters.k == clusters.classes else []
    return named or [f"fixed {clusters.k}"]


def _row(entry: Entry, clusters: Clusters | None, learns: str, rule: str) -> Row:
    cell = entry.record.cell
    row = Row(entry.title, entry.key, entry.origin, entry.record.status, cell.split, cell.seed, learns, rule)
    if clusters is None:
        return row
    purity, nmi, ari = (clusters.figures.get(name) for name in FIGURES)
    row = replace(row, k=clusters.clusters, pool=clusters.pool, purity=purity, nmi=nmi, ari=ari)
    if isinstance(clusters, KMeansClusters):
        return replace(row, start=clusters.seed, normalisation=clusters.normalisation)
    if isinstance(clusters, FoundClusters):
        return replace(row, of=clusters.of, coverage=clusters.coverage)
    return row


def table(rows: Sequence[Row], splits: int, published: Sequence[PublishedRow] = ()) -> str:
    """Markdown: mean over k-means seeds and seeds of a split, then mean ± deviation over splits.

    Rows of one rule stand together, the discovery method's own first, the best ARI last, which unlike
    the other two does not drift with the number of clusters.
    """
    frame = pd.DataFrame([asdict(row) for row in rows])
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
    for row in published:
        figures = [row.text(figure, MISSING) for figure in FIGURES]
        number = MISSING if row.k is None else str(row.k)
        shown.append([row.title, MISSING, MISSING, number, *figures, MISSING, MISSING, MISSING, "published"])
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
        **{f"{name}_sd_splits": means[name].std(ddof=1) for name in FIGURES},
    }
    return pd.Series(line)


def _range(numbers: pd.Series[Any]) -> str:
    if not len(numbers):
        return MISSING
    lowest, highest = int(numbers.min()), int(numbers.max())
    return str(lowest) if lowest == highest else f"{lowest}–{highest}"
