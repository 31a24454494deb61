"""Leaderboards as Markdown, CSV and JSON, made from cells and never typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from tabulate import tabulate

from benchmark.board import COLUMNS, COMMITTED, LOCAL, Entry, cells_frame, load_entries, merge, summary
from benchmark.store import write_json
from methods.core.registry import Registry

CELLS = "cells"
PUBLISHED = "published.yaml"
GROUP_TITLES = {"seed": "Unseen seed", "arch": "Unseen architecture", "dataset": "Unseen data", "all": "Unseen all"}
TABLE_TITLES = {"attribution": "Attribution", "open-set": "Open-set recognition", "discovery": "Discovery"}
TABLE_OF_KIND = {"attribution": "attribution", "osr": "open-set", "discovery": "discovery"}
MISSING = "n/a"


@dataclass(frozen=True)
class Board:
    """All rows of one data set and preset that share a protocol."""

    name: str
    entries: list[Entry]

    @property
    def keys(self) -> list[str]:
        return list(dict.fromkeys(entry.record.key for entry in self.entries))

    def table(self, name: str) -> list[str]:
        """Keys of the methods that a table shows."""
        return [
            key
            for key in self.keys
            if name in next(_tables(entry) for entry in self.entries if entry.record.key == key)
        ]


def _tables(entry: Entry) -> tuple[str, ...]:
    return entry.record.tables or (TABLE_OF_KIND[entry.record.kind],)


def build_board(dataset: str, preset: str, results: Path, leaderboards: Path) -> Board:
    """Committed cells together with those of this machine."""
    name = f"{dataset}-{preset}"
    committed = load_entries(leaderboards / name / CELLS, COMMITTED)
    local = load_entries(results / dataset / preset, LOCAL)
    return Board(name, merge(committed, local))


def write_board(board: Board, registry: Registry, leaderboards: Path) -> Path:
    """Write README.md, cells.csv, summary.csv and board.json into the board's folder.

    Returns:
        The Markdown file.
    """
    folder = leaderboards / board.name
    folder.mkdir(parents=True, exist_ok=True)
    frame = cells_frame(board.entries)
    frame.to_csv(folder / "cells.csv", index=False)
    sums = summary(frame)
    sums.to_csv(folder / "summary.csv")
    write_json(folder / "board.json", {"name": board.name, "rows": sums.reset_index().to_dict(orient="records")})
    path = folder / "README.md"
    path.write_text(render(board, registry, published_rows(leaderboards)), encoding="utf-8")
    return path


def published_rows(leaderboards: Path) -> Mapping[str, Any]:
    """Published figures by data set and table."""
    path = leaderboards / PUBLISHED
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def render(board: Board, registry: Registry, published: Mapping[str, Any]) -> str:
    """The Markdown page of a board: one chapter a protocol, in it one section a table."""
    chapters: dict[str, list[Entry]] = {}
    for entry in board.entries:
        chapters.setdefault(str(entry.record.cell["fingerprint"]), []).append(entry)
    parts = [f"# Leaderboard {board.name}", "", *_reading_guide()]
    for entries in chapters.values():
        parts += _chapter(Board(board.name, entries), registry, published)
    return "\n".join(parts) + "\n"


def _reading_guide() -> list[str]:
    return [
        "Per cent; mean over the seeds of a split, then mean ± standard deviation over splits (ddof 1).",
        "Splits share classes and images, so the deviation is no sampling error. Best mean in bold.",
        "Made by `python -m benchmark leaderboard` from the cells beside this page and those of this machine.",
        "",
    ]


def _chapter(board: Board, registry: Registry, published: Mapping[str, Any]) -> list[str]:
    sums = summary(cells_frame(board.entries))
    record = next((entry.record for entry in board.entries if entry.record.data), board.entries[0].record)
    lines = [*_facts(board, record.data), ""]
    beside = published.get(str(record.cell["dataset"]), {})
    for table, title in TABLE_TITLES.items():
        rows = board.table(table)
        if rows and table != "discovery":
            lines += [f"## {title}", "", open_set_table(sums.loc[rows], record.data, beside.get(table, [])), ""]
    lines += _ablations(sums, registry, record.data)
    lines += ["## Hard decisions", "", decision_table(sums), "", "## Real images and cost", "", cost_table(sums), ""]
    return lines


def _facts(board: Board, data: Mapping[str, Any]) -> list[str]:
    """What a table states about itself."""
    cells = [entry.record.cell for entry in board.entries]
    policies = sorted({str(cell["config"].get("keep", "last")) for cell in cells})
    seeds = sorted({int(cell["seed"]) for cell in cells})
    coverage = data.get("coverage", 1.0)
    part = "" if coverage == 1 else f", {coverage:.1%} of its images"
    return [
        f"**Data** {data.get('title', cells[0]['dataset'])}{part} (recipe `{str(cells[0]['fingerprint'])[:12]}`) · "
        f"**preset** {cells[0]['preset']} · **splits** {', '.join(sorted({str(c['split']) for c in cells}))} · "
        f"**seeds** {', '.join(map(str, seeds))} · **checkpoint** {' or '.join(policies)} (chosen on validation)",
    ]


def percent(mean: float, deviation: float | None = None, bold: bool = False) -> str:
    """A fraction as per cent, with its deviation where there is one."""
    if pd.isna(mean):
        return MISSING
    text = f"{100 * mean:.2f}"
    text = f"**{text}**" if bold else text
    return text if deviation is None or pd.isna(deviation) else f"{text} ± {100 * deviation:.2f}"


def open_set_table(sums: pd.DataFrame, data: Mapping[str, Any], published: Sequence[Mapping[str, Any]] = ()) -> str:
    """Accuracy, AUC and OSCR by group, worst to best by OSCR on all unknown images."""
    figures = ["accuracy", *(f"{metric}_{group}" for group in COLUMNS for metric in ("auc", "oscr"))]
    best = {figure: _best(sums, f"{figure}_mean") for figure in figures}
    headers = ["Method", "Accuracy ↑", *(f"{GROUP_TITLES[g]} {m} ↑" for g in COLUMNS for m in ("AUC", "OSCR"))]
    rows = []
    for key, line in _ordered(sums).iterrows():
        values = [percent(line.get(f"{f}_mean", float("nan")), line.get(f"{f}_sd"), key == best[f]) for f in figures]
        rows.append([row_title(str(key), line), *values, splits_done(line, data), line["origin"]])
    for entry in published:
        values = [f"{entry[figure]:.2f}" if figure in entry else MISSING for figure in figures]
        rows.append([entry["title"], *values, "5", "published"])
    return tabulate(rows, [*headers, "Splits", "From"], tablefmt="github", disable_numparse=True)


def _ordered(sums: pd.DataFrame) -> pd.DataFrame:
    return sums.sort_values("oscr_all_mean") if "oscr_all_mean" in sums else sums


def _best(sums: pd.DataFrame, column: str) -> Any:
    return sums[column].idxmax() if column in sums and sums[column].notna().any() else None


def row_title(key: str, line: pd.Series[Any]) -> str:
    """The method's title, with its variant where it has one."""
    variant = key.partition("@")[2]
    return f"{line['title']} ({variant})" if variant else str(line["title"])


def splits_done(line: pd.Series[Any], data: Mapping[str, Any]) -> str:
    """`5`, or `3 of 5 (1 failed)`."""
    wanted = data.get("splits", line["splits"])
    text = str(line["splits"]) if line["splits"] == wanted else f"{line['splits']} of {wanted}"
    gaps = [f"{line[status]} {status}" for status in ("failed", "skipped") if line[status]]
    return f"{text} ({', '.join(gaps)})" if gaps else text


def _ablations(sums: pd.DataFrame, registry: Registry, data: Mapping[str, Any]) -> list[str]:
    """One table a declared study of which at least two rows are there, in the declared order."""
    lines: list[str] = []
    for name, keys in registry.ablations.items():
        rows = [key for key in keys if key in sums.index]
        if len(rows) < 2:
            continue
        figures = ["accuracy", "auc_all", "oscr_all"]
        body = [
            [row_title(str(key), line), *(_figure(line, figure) for figure in figures), splits_done(line, data)]
            for key, line in sums.loc[rows].iterrows()
        ]
        headers = ["Method", "Accuracy ↑", "Unseen all AUC ↑", "Unseen all OSCR ↑", "Splits"]
        table = tabulate(body, headers, tablefmt="github", disable_numparse=True)
        lines += [f"## Ablation: {name}", "", table, ""]
    return lines


def _figure(line: pd.Series[Any], name: str) -> str:
    return percent(line.get(f"{name}_mean", float("nan")), line.get(f"{name}_sd"))


def decision_table(sums: pd.DataFrame) -> str:
    """Known or unknown at the threshold that accepts 95 % of the validation images."""
    figures = ["known_accepted", *(f"rejected_{group}" for group in COLUMNS), "k_plus_1_accuracy"]
    rejected = (f"{GROUP_TITLES[group]} rejected ↑" for group in COLUMNS)
    rows = [
        [row_title(str(key), line), *(_figure(line, figure) for figure in figures)]
        for key, line in _ordered(sums).iterrows()
    ]
    headers = ["Method", "Known accepted ↑", *rejected, "K+1 accuracy ↑"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def cost_table(sums: pd.DataFrame) -> str:
    """Accuracy on real images by whether their source was seen, and what a cell costs."""
    rows = []
    for key, line in _ordered(sums).iterrows():
        real = [_figure(line, "accuracy_seen_real"), _figure(line, "accuracy_unseen_real")]
        costs = [_number(line, name) for name in ("cost_parameters", "cost_train_seconds", "cost_images_per_second")]
        spread = percent(line.get("auc_all_seed_sd", float("nan")))
        rows.append([row_title(str(key), line), *real, *costs, spread])
    headers = [
        "Method",
        "Real, seen sources",
        "Real, unseen sources",
        "Weights",
        "Training s",
        "Images/s",
        "Seed sd AUC",
    ]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def _number(line: pd.Series[Any], name: str) -> str:
    value = line.get(f"{name}_mean", float("nan"))
    return MISSING if pd.isna(value) else f"{value:,.0f}"
