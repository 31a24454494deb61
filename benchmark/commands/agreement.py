"""`python -m benchmark agreement`: rankings of boards beside published ones."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmark.boards.committed import boards
from benchmark.boards.leaderboard import Board, latest_chapter
from benchmark.boards.published import PUBLISHED, Tables, published_tables
from benchmark.commands.options import add_places
from benchmark.studies.agreement import HEADERS, agreements, shown, write
from datasets.console import say, show_rows
from datasets.core.command import Command
from datasets.errors import UserError


@dataclass(frozen=True)
class AgreementOptions:
    """Which boards, and whose figures they are held against."""

    results: Path
    leaderboards: Path
    board: str | None
    published: str


class CompareRankings(Command[AgreementOptions]):
    """How far boards rank methods as papers do."""

    options = AgreementOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_places(parser)
        parser.add_argument("--board", help="such as mini-quick (default: all)")
        parser.add_argument("--published", default="osma", help="data set of the published figures (default: osma)")

    def run(self, options: AgreementOptions) -> int:
        """Compare every board with what is published, on its latest protocol."""
        tables = published_tables(options.leaderboards).get(options.published)
        if tables is None:
            path = options.leaderboards / PUBLISHED
            raise UserError(f"--published {options.published}: {path} has no figures of such a data set")
        found = list(boards(options.results, options.leaderboards))
        names = [board.name for board in found]
        if options.board not in (None, *names):
            raise UserError(f"--board {options.board}: no cells of such a board; there are {', '.join(names)}")
        for board in found:
            if options.board in (None, board.name):
                compare_board(board, tables, options.published, options.leaderboards / board.name)
        return 0


def compare_board(board: Board, tables: Tables, published: str, folder: Path) -> None:
    """Show the agreement of one board and write it into a folder."""
    chapter = latest_chapter(board)
    if chapter is None:
        say(f"no agreement of {board.name}: none of its cells is finished")
        return
    found = agreements(chapter, tables)
    title = f"Agreement of {board.name} with the published ranking on {published}"
    show_rows(title, HEADERS, shown(found))
    for path in write(found, title, chapter, folder):
        say(f"written: {path}")
