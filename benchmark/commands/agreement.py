"""The command `python -m benchmark agreement`: rankings of boards beside published ones, and what it writes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.boards.discovery_table import clustered_rows, own_rows
from benchmark.boards.leaderboard import PUBLISHED, TABLE_TITLES, Board, published_rows
from benchmark.boards.rows import Entry, cells_frame
from benchmark.boards.tables import GROUP_TITLES, MISSING, markdown
from benchmark.evaluation.pools import ALL
from benchmark.metrics.ranking import Agreement, compare
from benchmark.running.watch import say, show_rows
from datasets.errors import UserError
from datasets.splits import UNKNOWN_GROUPS

PAGE, FILE = "agreement.md", "agreement.csv"
DISCOVERY = "discovery"
RANKED = {
    "accuracy": "Accuracy",
    "auc_all": f"{GROUP_TITLES['all']} AUC",
    "oscr_all": f"{GROUP_TITLES['all']} OSCR",
    **{f"auc_{group}": f"{GROUP_TITLES[group]} AUC" for group in UNKNOWN_GROUPS},
}
RANKED_GROUPS = {"purity": "Purity", "nmi": "NMI", "ari": "ARI"}
FEW = 8  # rows that are named rather than counted
HEADERS = ("Table", "Column", "Rows", "Kendall's τ-b", "95 % interval", "p")

Found = Mapping[tuple[str, str], Agreement]  # table and figure


def add_options(words: argparse.ArgumentParser) -> None:
    """Which boards, and whose figures they are held against."""
    words.add_argument("--board", help="such as mini-quick (default: all)")
    words.add_argument("--published", default="osma", help="data set of the published figures (default: osma)")


def agreement(boards: Sequence[Board], options: argparse.Namespace) -> int:
    """Compare every board with what is published, on its latest protocol.

    Raises:
        UserError: there is no such board, or nothing is published on the data set.
    """
    tables = published_rows(options.leaderboards).get(options.published)
    if tables is None:
        path = options.leaderboards / PUBLISHED
        raise UserError(f"--published {options.published}: {path} has no figures of such a data set")
    names = [board.name for board in boards]
    if options.board not in (None, *names):
        raise UserError(f"--board {options.board}: no cells of such a board; there are {', '.join(names)}")
    for board in boards:
        if options.board in (None, board.name):
            _one_board(board, tables, options.published, options.leaderboards / board.name)
    return 0


def _one_board(board: Board, tables: Mapping[str, Any], published: str, folder: Path) -> None:
    chapter = next((part for part in board.chapters if part.data), None)
    if chapter is None:
        say(f"no agreement of {board.name}: none of its cells is finished")
        return
    found = agreements(chapter, tables)
    title = f"Agreement of {board.name} with the published ranking on {published}"
    show_rows(title, HEADERS, shown(found))
    for path in write(found, title, chapter, folder):
        say(f"written: {path}")


def agreements(board: Board, published: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[tuple[str, str], Agreement]:
    """The agreement by table and column, where both sides have rows.

    Args:
        board: rows of one protocol, with a finished cell.
        published: rows by table.
    """
    splits, cells, tables = list(board.data["splits"]), cells_frame(board.entries), board.tables
    found = {}
    for table, rows in published.items():
        if table != DISCOVERY and table in tables:
            shown_here = cells[cells["method"].isin(tables[table])]
            for figure in RANKED:
                found[table, figure] = compare(by_split(shown_here, figure, splits), _figures(rows, figure))
    groups = discovery_frame(board.entries)
    if DISCOVERY in published and len(groups):
        rows = [{**row, "title": _numbered(row["title"], row.get("number"))} for row in published[DISCOVERY]]
        for figure in RANKED_GROUPS:
            found[DISCOVERY, figure] = compare(by_split(groups, figure, splits), _figures(rows, figure))
    return found


def discovery_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """The rows of the main discovery table, titled also by whose number of groups they have."""
    return pd.DataFrame(
        [
            {**row, "method": f"{row['key']}/{row['rule']}", "title": _numbered(row["title"], row["rule"])}
            for row in (*own_rows(entries), *clustered_rows(entries))
            if row["pool"] == ALL and row["of"] == "all" and row["normalisation"] in ("", "none")
        ]
    )


def _numbered(title: str, number: str | None) -> str:
    return f"{title}, number of groups {number or 'not explained'}"


def by_split(cells: pd.DataFrame, figure: str, splits: Sequence[str]) -> pd.DataFrame:
    """One line a row by title, one column a split: means over the seeds, NaN where there is no figure.

    Raises:
        UserError: two rows have the same title.
    """
    titles = cells.groupby("method", sort=False)["title"].first()
    if titles.duplicated().any():
        raise UserError(f"two rows are called '{titles[titles.duplicated()].iloc[0]}'; rename one of the methods")
    done = cells[cells["status"] == "done"].astype({figure: float})
    means = done.groupby(["method", "split"])[figure].mean().unstack("split")
    return means.reindex(index=titles.index, columns=list(splits)).set_axis(titles.to_list())


def _figures(rows: Iterable[Mapping[str, Any]], figure: str) -> pd.Series[float]:
    return pd.Series({row["title"]: row[figure] for row in rows if figure in row}, dtype=float)


# -- what is shown and written ---------------------------------------------------------------------------


def shown(found: Found) -> list[list[str]]:
    """One line a table and column, as text."""
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
    folder.mkdir(parents=True, exist_ok=True)
    page, file = folder / PAGE, folder / FILE
    page.write_text(render(found, title, board), encoding="utf-8")
    lines = [
        {
            "table": table, "column": figure, "rows": len(result.rows), "splits": result.splits, "tau_b": result.tau,
            "low": result.low, "high": result.high, "p": result.p, "p_by": result.p_by, "reason": result.reason,
            "compared": "; ".join(result.rows),
            "left_out": "; ".join(f"{name} ({why})" for name, why in result.left_out.items()),
        }
        for (table, figure), result in found.items()
    ]  # fmt: skip
    pd.DataFrame(lines).to_csv(file, index=False, float_format="%.12g")
    return [page, file]


def render(found: Found, title: str, board: Board) -> str:
    """The Markdown page: how to read it, the table, and which rows it rests on."""
    splits = len(board.data["splits"])
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
    """Which rows were compared and which were not: one line a table, or several where its columns differ."""
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
