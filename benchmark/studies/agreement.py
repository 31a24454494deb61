"""Rankings of a board held against published ones, as a page and a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from benchmark.boards.columns import ACCURACY, BY_GROUP
from benchmark.boards.discovery_table import TABLE as DISCOVERY
from benchmark.boards.discovery_table import clustered_rows, own_rows
from benchmark.boards.leaderboard import TABLE_TITLES, Board
from benchmark.boards.published import PublishedRow, Tables
from benchmark.boards.rows import Entry, cells_frame
from benchmark.boards.tables import MISSING, markdown
from benchmark.evaluation.parts import ALL
from benchmark.metrics.clustering import CLUSTER_METRICS
from benchmark.metrics.ranking import Agreement, compare
from datasets.core.partial import whole_file, write_whole
from datasets.errors import UserError
from datasets.splits import UNKNOWN_GROUPS

PAGE, FILE = "agreement.md", "agreement.csv"
_COLUMNS = (
    ACCURACY, BY_GROUP["auc", ALL], BY_GROUP["oscr", ALL], *(BY_GROUP["auc", group] for group in UNKNOWN_GROUPS),
)  # fmt: skip
RANKED = {column.key: column.heading.removesuffix(" ↑") for column in _COLUMNS}
RANKED_GROUPS = {name: metric.title for name, metric in CLUSTER_METRICS.items()}
FEW = 8  # rows that are named rather than counted
HEADERS = ("Table", "Column", "Rows", "Kendall's τ-b", "95 % interval", "p")

Found = Mapping[tuple[str, str], Agreement]  # table and figure


def agreements(board: Board, published: Tables) -> dict[tuple[str, str], Agreement]:
    """The agreement by table and column, where both sides have rows.

    Args:
        board: rows of one protocol, with a finished cell.
        published: rows by table.
    """
    splits, cells, tables = list(board.splits), cells_frame(board.entries), board.tables
    found = {}
    for table, rows in published.items():
        if table != DISCOVERY and table in tables:
            shown_here = cells[cells["method"].isin(tables[table])]
            for figure in RANKED:
                found[table, figure] = compare(by_split(shown_here, figure, splits), _figures(rows, figure))
    groups = discovery_frame(board.entries)
    if DISCOVERY in published and len(groups):
        rows = [row.model_copy(update={"title": _numbered(row.title, row.number)}) for row in published[DISCOVERY]]
        for figure in RANKED_GROUPS:
            found[DISCOVERY, figure] = compare(by_split(groups, figure, splits), _figures(rows, figure))
    return found


def discovery_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """The rows of the main discovery table, titled also by whose number of clusters they have."""
    return pd.DataFrame(
        [
            {**asdict(row), "method": f"{row.key}/{row.rule}", "title": _numbered(row.title, row.rule)}
            for row in (*own_rows(entries), *clustered_rows(entries))
            if row.pool == ALL and row.of == "all" and row.normalisation in ("", "none")
        ]
    )


def _numbered(title: str, number: str | None) -> str:
    return f"{title}, number of groups {number or 'not explained'}"


def by_split(cells: pd.DataFrame, figure: str, splits: Sequence[str]) -> pd.DataFrame:
    """One line for every row by title, one column for every split: means over the seeds, NaN where there is no figure.

    Raises:
        UserError: two rows have the same title.
    """
    titles = cells.groupby("method", sort=False)["title"].first()
    if titles.duplicated().any():
        raise UserError(f"two rows are called '{titles[titles.duplicated()].iloc[0]}'; rename one of the methods")
    done = cells[cells["status"] == "done"].astype({figure: float})
    means = done.groupby(["method", "split"])[figure].mean().unstack("split")
    return means.reindex(index=titles.index, columns=list(splits)).set_axis(titles.to_list())


def _figures(rows: Iterable[PublishedRow], figure: str) -> pd.Series[float]:
    return pd.Series({row.title: row.figures[figure] for row in rows if figure in row.figures}, dtype=float)


# -- what is shown and written ---------------------------------------------------------------------------


def shown(found: Found) -> list[list[str]]:
    """One line for every table and column, as text."""
    return [
        [TABLE_TITLES.get(table, table.capitalize()), (RANKED | RANKED_GROUPS)[figure], *_words(result)]
        for (table, figure), result in found.items()
    ]


def _words(result: Agreement) -> list[str]:
    count = str(len(result.rows))
    if result.tau is None or result.p is None:
        return [count, f"{MISSING} ({result.reason})", MISSING, MISSING]
    between = MISSING if result.low is None or result.high is None else f"{result.low:+.2f} to {result.high:+.2f}"
    chance = f"{result.p:.2g}" if result.p_by == "exact" else f"{result.p:.2g} ({result.p_by})"
    return [count, f"{result.tau:+.2f}", between, chance]


def write(found: Found, title: str, board: Board, folder: Path) -> list[Path]:
    """The page and the CSV file, in which lists are joined by semicolons."""
    page, file = folder / PAGE, folder / FILE
    write_whole(page, render(found, title, board))
    lines = [
        {
            "table": table, "column": figure, "rows": len(result.rows), "splits": result.splits, "tau_b": result.tau,
            "low": result.low, "high": result.high, "p": result.p, "p_by": result.p_by, "reason": result.reason,
            "compared": "; ".join(result.rows),
            "left_out": "; ".join(f"{name} ({why})" for name, why in result.left_out.items()),
        }
        for (table, figure), result in found.items()
    ]  # fmt: skip
    with whole_file(file) as unfinished:
        pd.DataFrame(lines).to_csv(unfinished, index=False, float_format="%.12g")
    return [page, file]


def render(found: Found, title: str, board: Board) -> str:
    """The Markdown page: how to read it, the table, and which rows it rests on."""
    splits = len(board.splits)
    return "\n".join(
        [
            f"# {title}",
            "",
            "Kendall's τ-b between the means of this board and the published ones: 1 for the same order, -1 for the",
            "reversed one, 0 for none. Both sides are ranked over the rows that are published and complete here.",
            "",
            f"- **Interval**: the {splits} splits drawn with replacement in every possible way, all rows together; the",
            "  2.5 % and 97.5 % percentiles of τ-b. It covers the choice of splits alone, not seeds, images or the",
            "  published figures' own spread (not published). So few splits, which share classes and images, make such",
            "  intervals rather too short than too long.",
            "- **p**: two-sided chance of a τ-b at least as far from 0 if all orders of the rows were equally likely.",
            "  It cannot fall below 2/n! for n rows (1 for two, 0.33 for three, 0.083 for four), and is not adjusted",
            "  for the number of columns, which are not independent.",
            "- The published figures belong to other images, so their absolute values are not compared.",
            "",
            f"Made by `python -m benchmark agreement`. **Recipe** `{board.entries[0].record.cell.fingerprint[:12]}`",
            "",
            markdown(shown(found), HEADERS),
            "",
            "## Rows",
            "",
            *_row_lines(found),
            "",
        ]
    )


def _left_out(reasons: Mapping[str, str]) -> str:
    """Rows by reason; only counted where they are too many to be read."""
    names: dict[str, list[str]] = {}
    for name, why in reasons.items():
        names.setdefault(why, []).append(name)
    said = [f"{', '.join(rows) if len(rows) <= FEW else f'{len(rows)} rows'} ({why})" for why, rows in names.items()]
    return "; ".join(said) or "none"


def _row_lines(found: Found) -> list[str]:
    """Which rows were compared and which were not: one line for every table, or several where its columns differ."""
    said: dict[tuple[str, str], list[str]] = {}
    for (table, figure), result in found.items():
        text = f"compared {', '.join(result.rows) or 'none'}; left out {_left_out(result.left_out)}."
        said.setdefault((table, text), []).append((RANKED | RANKED_GROUPS)[figure])
    tables = [table for table, _ in said]
    lines = []
    for (table, text), columns in said.items():
        where = f" ({', '.join(columns)})" if tables.count(table) > 1 else ""
        lines.append(f"- **{TABLE_TITLES.get(table, table.capitalize())}**{where}: {text}")
    return lines
