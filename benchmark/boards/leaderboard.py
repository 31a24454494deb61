"""Leaderboards as Markdown, CSV and JSON, made from cells and never typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.boards.curve_table import TITLE as CURVES
from benchmark.boards.curve_table import curve_table, curves_frame
from benchmark.boards.discovery_table import TABLE as DISCOVERY
from benchmark.boards.discovery_table import discovery_sections
from benchmark.boards.published import Tables, published_tables
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
from benchmark.cells.files import write_json
from benchmark.cells.path import board_name, committed_root, local_root
from benchmark.cells.record import DataFacts
from datasets.core.partial import whole_file, write_whole

TABLE_TITLES = {"attribution": "Attribution", "open-set": "Open-set recognition", DISCOVERY: "Discovery"}

Ablations = Mapping[str, tuple[str, ...]]  # rows of every declared study, by its name


@dataclass(frozen=True)
class Board:
    """The rows of one data set and preset."""

    name: str
    entries: list[Entry]

    @property
    def chapters(self) -> list[Board]:
        """One board for every protocol, the one with the latest cell first."""
        latest = {entry.protocol: entry.finished for entry in sorted(self.entries, key=lambda entry: entry.finished)}
        order = sorted(latest, key=lambda protocol: latest[protocol], reverse=True)
        return [Board(self.name, [e for e in self.entries if e.protocol == protocol]) for protocol in order]

    @property
    def tables(self) -> dict[str, list[str]]:
        """Keys of the rows by table, the usual tables first."""
        shown: dict[str, list[str]] = {name: [] for name in TABLE_TITLES}
        for entry in self.entries:
            for table in entry.tables:
                keys = shown.setdefault(table, [])
                keys += [entry.key] if entry.key not in keys else []
        return {table: keys for table, keys in shown.items() if keys}

    @property
    def data(self) -> DataFacts | None:
        """What finished cells say of the data; None if there are none."""
        return next((entry.record.data for entry in self.entries if entry.record.data), None)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of a complete row."""
        own = dict.fromkeys(entry.record.cell.split for entry in self.entries)
        return tuple(own) if self.data is None else self.data.splits


def latest_chapter(board: Board) -> Board | None:
    """The rows of the latest protocol under which a cell has been finished; None if none has."""
    return next((chapter for chapter in board.chapters if chapter.data is not None), None)


def build_board(dataset: str, preset: str, results: Path, leaderboards: Path) -> Board:
    """Committed cells together with those of this machine."""
    name = board_name(dataset, preset)
    committed = load_entries(committed_root(leaderboards, name), COMMITTED)
    local = load_entries(local_root(results, dataset, preset), LOCAL)
    return Board(name, comparable(merge(committed, local)))


def write_board(board: Board, ablations: Ablations, leaderboards: Path) -> Path:
    """Write README.md, cells.csv, summary.csv and board.json into the board's folder, each whole or not at all.

    Returns:
        The Markdown file.
    """
    folder = leaderboards / board.name
    write_csv(folder / "cells.csv", cells_frame(board.entries), index=False)
    sums = pd.concat([_with_protocol(chapter) for chapter in board.chapters])
    write_csv(folder / "summary.csv", sums)
    curves = curves_frame(board.entries)
    if len(curves):
        write_csv(folder / "curves.csv", curves, index=False)
    write_json(folder / "board.json", {"name": board.name, "rows": sums.reset_index().to_dict(orient="records")})
    path = folder / "README.md"
    write_whole(path, render(board, ablations, published_tables(leaderboards)))
    return path


def write_csv(path: Path, frame: pd.DataFrame, index: bool = True) -> None:
    with whole_file(path) as unfinished:
        frame.to_csv(unfinished, index=index)


def _with_protocol(chapter: Board) -> pd.DataFrame:
    fingerprint, rules = chapter.entries[0].protocol
    return summary(cells_frame(chapter.entries)).assign(fingerprint=fingerprint, protocol=rules)


def render(board: Board, ablations: Ablations, published: Mapping[str, Tables]) -> str:
    """The Markdown page of a board: one chapter for every protocol, in it one section for every table."""
    parts = [f"# Leaderboard {board.name}", "", *_reading_guide()]
    for chapter in board.chapters:
        parts += _chapter(chapter, ablations, published)
    return "\n".join(parts)


def _reading_guide() -> list[str]:
    return [
        "Per cent; mean over the seeds of a split, then mean ± standard deviation over splits (ddof 1).",
        "Splits share classes and images, so the deviation is no sampling error. Best mean of complete rows in bold.",
        "Made by `python -m benchmark leaderboard` from the cells beside this page and those of this machine.",
        "",
    ]


def _chapter(board: Board, ablations: Ablations, published: Mapping[str, Tables]) -> list[str]:
    sums = summary(cells_frame(board.entries))
    splits, tables = len(board.splits), published.get(board.entries[0].record.cell.dataset, {})
    lines = [_facts(board), ""]
    for table, rows in board.tables.items():
        if table != DISCOVERY:
            title = TABLE_TITLES.get(table, table.capitalize())
            lines += _section(title, open_set_table(sums.loc[rows], splits, tables.get(table, ())))
    for title, markdown in discovery_sections(board.entries, splits, tables.get(DISCOVERY, ())):
        lines += _section(title, markdown)
    for name, keys in ablations.items():
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
    title, coverage = (cells[0].dataset, 1.0) if data is None else (data.title, data.coverage)
    facts = {
        "Data": f"{title}{'' if coverage == 1 else f', {coverage:.1%} of its images'}",
        "recipe": f"`{cells[0].fingerprint[:12]}`",
        **({} if data is None or data.pixels is None else {"pixels": f"`{data.pixels[:12]}`"}),
        "preset": cells[0].preset,
        "splits": ", ".join(sorted({cell.split for cell in cells})),
        "seeds": ", ".join(map(str, sorted({cell.seed for cell in cells}))),
        "checkpoint": " or ".join(sorted({str(cell.config.get("keep", "last")) for cell in cells})),
    }
    return " · ".join(f"**{name}** {value}" for name, value in facts.items())
