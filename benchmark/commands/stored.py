"""Commands over stored cells, without any training: evaluate, verify, submit, leaderboard, figures."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.boards.committed import all_places, boards, commit_cell
from benchmark.boards.curve_table import curves_frame
from benchmark.boards.leaderboard import Board, latest_chapter, write_board
from benchmark.cells.files import EVALUATION, write_json
from benchmark.cells.store import finished_cells, finished_cells_of
from benchmark.commands.options import add_places, make_folders, method_keys
from benchmark.evaluation.cell import evaluate_cell
from benchmark.evaluation.verify import verify_cell
from benchmark.studies.verify_data import check_data
from datasets.console import progress, say
from datasets.core.command import Command
from datasets.errors import UserError
from methods.core.registry import load_registry


@dataclass(frozen=True)
class Places:
    """Where cells and boards lie."""

    results: Path
    leaderboards: Path


@dataclass(frozen=True)
class EvaluateOptions(Places):
    """Which figures are computed."""

    official: bool


class Evaluate(Command[EvaluateOptions]):
    """Compute every evaluation of this machine again from stored predictions."""

    options = EvaluateOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_places(parser)
        parser.add_argument("--official", action="store_true", help="also as the official code computes it")

    def run(self, options: EvaluateOptions) -> int:
        cells = finished_cells(options.results)
        for folder, record in progress(cells, len(cells), "evaluating"):
            write_json(folder / EVALUATION, evaluate_cell(folder, record.facts, options.official))
        say(f"{len(cells)} cells evaluated from their stored predictions")
        return 0


@dataclass(frozen=True)
class VerifyOptions(Places):
    """The data that cells are compared with; None: with none."""

    dataset: str | None
    data_root: Path | None


class Verify(Command[VerifyOptions]):
    """Check local and committed cells; status 1 if something is wrong."""

    options = VerifyOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_places(parser)
        parser.add_argument("--dataset", help="also compare cells of this data set with its images, as they are now")
        parser.add_argument("--data-root", type=Path, help="folder of the data set's files")

    def run(self, options: VerifyOptions) -> int:
        if options.dataset is None and options.data_root is not None:
            raise UserError(f"--data-root {options.data_root} says of no data set; add --dataset")
        cells = all_places(options.results, options.leaderboards)
        faults = [fault for folder in progress(cells, len(cells), "verifying") for fault in verify_cell(folder)]
        if options.dataset is not None:
            checked = check_data(cells, options.dataset, options.data_root)
            faults += checked.faults
            for line in checked.left:
                say(f"not compared with the data: {line}")
            say(f"{checked.compared} cells are of the data at hand")
        for fault in faults:
            say(fault)
        say(f"{len(cells)} cells checked, {len(faults)} faults")
        return 1 if faults else 0


@dataclass(frozen=True)
class SubmitOptions(Places):
    """Which cells are copied."""

    methods: str | None


class Submit(Command[SubmitOptions]):
    """Copy the small files of finished cells; large ones (models, features) stay on this machine."""

    options = SubmitOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_places(parser)
        parser.add_argument("--methods", help="names, separated by commas (default: all)")

    def run(self, options: SubmitOptions) -> int:
        cells = finished_cells_of(method_keys(options.methods), options.results)
        make_folders(leaderboards=options.leaderboards)
        for folder, record in cells:
            commit_cell(folder, record, options.leaderboards)
        say(f"{len(cells)} cells copied to {options.leaderboards}; commit them together with the board")
        return 0


class WriteBoards(Command[Places]):
    """Write every board from local and committed cells."""

    options = Places

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_places(parser)

    def run(self, options: Places) -> int:
        write_boards(boards(options.results, options.leaderboards), options.leaderboards)
        return 0


def write_boards(found: Iterable[Board], leaderboards: Path) -> None:
    """Write boards and say where they are."""
    ablations = load_registry().ablations
    for board in found:
        say(f"leaderboard: {write_board(board, ablations, leaderboards)}")


@dataclass(frozen=True)
class FigureOptions(Places):
    """Where pictures go."""

    out: Path | None


class DrawFigures(Command[FigureOptions]):
    """Draw the pictures of every board."""

    options = FigureOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_places(parser)
        parser.add_argument("--out", type=Path, help="folder of the pictures (default: beside each board)")

    def run(self, options: FigureOptions) -> int:
        if options.out is not None:
            make_folders(out=options.out)
        for board in boards(options.results, options.leaderboards):
            draw_board(board, options.out, options.leaderboards / board.name)
        return 0


def draw_board(board: Board, out: Path | None, own: Path) -> None:
    """Draw the pictures of a board into its own folder, or into that of many boards under the board's name."""
    from benchmark.boards.curve_figure import draw_curves  # matplotlib, which the other commands need not wait for
    from benchmark.boards.figures import accuracy_against_auc

    chapter = latest_chapter(board)
    if chapter is None:
        say(f"no picture of {board.name}: none of its cells is finished")
        return
    name = "accuracy-auc.png" if out is None else f"{board.name}.png"
    say(f"picture: {accuracy_against_auc(chapter, (out or own) / name)}")
    curves = curves_frame(chapter.entries)
    if len(curves):
        name = "epochs.png" if out is None else f"{board.name}-epochs.png"
        say(f"picture: {draw_curves(curves, board.name, (out or own) / name)}")
