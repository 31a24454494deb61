"""Leaderboards as Markdown, CSV and JSON, made from cells and never typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmark.boards.curve_table import TITLE as CURVES
from benchmark.boards.curve_table import curve_table, curves_frame
from benchmark.boards.discovery_table import discovery_sections
from benchmark.boards.rows import (
    COMMITTED,
    LOCAL,
    Entry,
    cells_frame,
    comparable,
    confidences_frame,
    load_entries,
    merge,
    summary,
)
from benchmark.boards.tables import ablation_table, cost_table, decision_table, open_set_table
from benchmark.cells.store import write_json
from methods.core.registry import Registry

CELLS = "cells"
PUBLISHED = "published.yaml"
TABLE_TITLES = {"attribution": "Attribution", "open-set": "Open-set recognition", "discovery": "Discovery"}
TABLE_OF_KIND = {"attribution": "attribution", "osr": "open-set", "discovery": "discovery"}


@dataclass(frozen=True)
class Board:
    """The rows of one data set and preset."""

    name: str
    entries: list[Entry]

    @property
    def chapters(self) -> list[Board]:
        """One board a protocol, the one with the latest cell first."""
        latest = {entry.protocol: entry.finished for entry in sorted(self.entries, key=lambda entry: entry.finished)}
        order = sorted(latest, key=lambda protocol: latest[protocol], reverse=True)
        return [Board(self.name, [e for e in self.entries if e.protocol == protocol]) for protocol in order]

    @property
    def tables(self) -> dict[str, list[str]]:
        """Keys of the rows by table, the usual tables first."""
        shown: dict[str, list[str]] = {name: [] for name in TABLE_TITLES}
        for entry in self.entries:
            for table in entry.record.tables or (TABLE_OF_KIND[entry.record.kind],):
                keys = shown.setdefault(table, [])
                keys += [entry.key] if entry.key not in keys else []
        return {table: keys for table, keys in shown.items() if keys}

    @property
    def data(self) -> Mapping[str, Any]:
        """What finished cells say of the data; empty if there are none."""
        return next((entry.record.data for entry in self.entries if entry.record.data), {})


def build_board(dataset: str, preset: str, results: Path, leaderboards: Path) -> Board:
    """Committed cells together with those of this machine."""
    name = f"{dataset}-{preset}"
    committed = load_entries(leaderboards / name / CELLS, COMMITTED)
    local = load_entries(results / dataset / preset, LOCAL)
    return Board(name, comparable(merge(committed, local)))


def write_board(board: Board, registry: Registry, leaderboards: Path) -> Path:
    """Write README.md, cells.csv, summary.csv and board.json into the board's folder.

    Returns:
        The Markdown file.
    """
    folder = leaderboards / board.name
    folder.mkdir(parents=True, exist_ok=True)
    cells_frame(board.entries).to_csv(folder / "cells.csv", index=False)
    sums = pd.concat([_with_protocol(chapter) for chapter in board.chapters])
    sums.to_csv(folder / "summary.csv")
    curves = curves_frame(board.entries)
    if len(curves):
        curves.to_csv(folder / "curves.csv", index=False)
    write_json(folder / "board.json", {"name": board.name, "rows": sums.reset_index().to_dict(orient="records")})
    path = folder / "README.md"
    path.write_text(render(board, registry, published_rows(leaderboards)), encoding="utf-8")
    return path


def _with_protocol(chapter: Board) -> pd.DataFrame:
    fingerprint, rules = chapter.entries[0].protocol
    return summary(cells_frame(chapter.entries)).assign(fingerprint=fingerprint, protocol=rules)


def published_rows(leaderboards: Path) -> Mapping[str, Any]:
    """Published figures by data set and table."""
    path = leaderboards / PUBLISHED
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def render(board: Board, registry: Registry, published: Mapping[str, Any]) -> str:
    """The Markdown page of a board: one chapter a protocol, in it one section a table."""
    parts = [f"# Leaderboard {board.name}", "", *_reading_guide()]
    for chapter in board.chapters:
        parts += _chapter(chapter, registry, published)
    return "\n".join(parts)


def _reading_guide() -> list[str]:
    return [
        "Per cent; mean over the seeds of a split, then mean ± standard deviation over splits (ddof 1).",
        "Splits share classes and images, so the deviation is no sampling error. Best mean of complete rows in bold.",
        "Made by `python -m benchmark leaderboard` from the cells beside this page and those of this machine.",
        "",
    ]


def _chapter(board: Board, registry: Registry, published: Mapping[str, Any]) -> list[str]:
    sums = summary(cells_frame(board.entries))
    splits = len(board.data.get("splits", {entry.record.cell.split for entry in board.entries}))
    beside = published.get(board.entries[0].record.cell.dataset, {})
    lines = [_facts(board), ""]
    for table, rows in board.tables.items():
        if table != "discovery":
            title = TABLE_TITLES.get(table, table.capitalize())
            lines += _section(title, open_set_table(sums.loc[rows], splits, beside.get(table, [])))
    for title, markdown in discovery_sections(board.entries, splits, beside.get("discovery", [])):
        lines += _section(title, markdown)
    for name, keys in registry.ablations.items():
        rows = [key for key in keys if key in sums.index]
        if len(rows) > 1:
            lines += _section(f"Ablation: {name}", ablation_table(sums.loc[rows], splits))
    curves = curves_frame(board.entries)
    if len(curves):
        lines += _section(CURVES, curve_table(curves))
    others = confidences_frame(board.entries)
    if len(others):
        lines += _section("Other confidences that the methods declare", open_set_table(summary(others), splits))
    lines += _section("Known or unknown at the threshold that accepts 95 % of validation images", decision_table(sums))
    return lines + _section("Real images, cost, seeds", cost_table(sums))


def _section(title: str, table: str) -> list[str]:
    return [f"## {title}", "", table, ""]


def _facts(board: Board) -> str:
    """What a table states about itself."""
    cells, data = [entry.record.cell for entry in board.entries], board.data
    coverage = data.get("coverage", 1.0)
    facts = {
        "Data": f"{data.get('title', cells[0].dataset)}{'' if coverage == 1 else f', {coverage:.1%} of its images'}",
        "recipe": f"`{cells[0].fingerprint[:12]}`",
        "preset": cells[0].preset,
        "splits": ", ".join(sorted({cell.split for cell in cells})),
        "seeds": ", ".join(map(str, sorted({cell.seed for cell in cells}))),
        "checkpoint": " or ".join(sorted({str(cell.config.get("keep", "last")) for cell in cells})),
    }
    return " · ".join(f"**{name}** {value}" for name, value in facts.items())
