"""The commands of `python -m benchmark`: what is made from stored cells, without training."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmark.boards.curve_figure import draw_curves
from benchmark.boards.curve_table import curves_frame
from benchmark.boards.figures import accuracy_against_auc
from benchmark.boards.leaderboard import CELLS, Board, build_board, write_board
from benchmark.cells.store import (
    CELL,
    EVALUATION,
    HISTORY,
    PREDICTIONS,
    Record,
    cell_folders,
    read_record,
    records_below,
    write_json,
)
from benchmark.commands import agreement as agreement_command
from benchmark.commands import cluster as cluster_command
from benchmark.commands import similarity as similarity_command
from benchmark.commands import tune as tune_command
from benchmark.commands.new_method import new_method
from benchmark.commands.options import CHECKOUT, Parser
from benchmark.commands.predict import add_options, predict
from benchmark.evaluation.cell import evaluate_cell
from benchmark.evaluation.cluster_cells import FOLDER
from benchmark.evaluation.curve import CURVE
from benchmark.evaluation.discovery import GROUPS_FILE, ITERATIONS
from benchmark.evaluation.verify import verify_cell
from benchmark.running.watch import say
from datasets.console import progress
from datasets.core.split_list import word_list
from datasets.errors import UserError
from methods.core.registry import load_registry

SMALL_FILES = (CELL, EVALUATION, PREDICTIONS, GROUPS_FILE, ITERATIONS, HISTORY, CURVE)


def parser() -> Parser:
    """Options of every command; a contract, as those of run_all.py."""
    words = Parser(prog="python -m benchmark", description=__doc__)
    commands = words.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], help_: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_, description=help_)
        command.set_defaults(run=run)
        return command

    for name, run, help_ in (
        ("evaluate", evaluate_cells, "compute every evaluation again from stored predictions"),
        ("leaderboard", write_boards, "write the boards from stored cells"),
        ("figures", draw_figures, "draw the pictures of the boards"),
        ("verify", verify_cells, "check that hashes and figures follow from what cells hold"),
        ("cluster", cluster_cells, "cluster stored features, for the discovery table"),
        ("similarity", compare_views, "compare the views of methods, such as augmentation models"),
        ("agreement", compare_rankings, "compare the boards' rankings with published ones"),
        ("submit", submit, "copy this machine's cells into the leaderboards folder, to be committed"),
    ):
        command = add(name, run, help_)
        command.add_argument("--results", type=Path, default=CHECKOUT / "results", help="folder of the cells")
        command.add_argument(
            "--leaderboards", type=Path, default=CHECKOUT / "leaderboards", help="folder of the boards"
        )
        if name == "evaluate":
            command.add_argument("--official", action="store_true", help="also as the official code computes it")
        if name == "figures":
            command.add_argument("--out", type=Path, help="folder of the pictures (default: beside each board)")
        if name == "cluster":
            cluster_command.add_options(command)
        if name == "similarity":
            similarity_command.add_options(command)
        if name == "agreement":
            agreement_command.add_options(command)
        if name == "submit":
            command.add_argument("--methods", help="names, separated by commas (default: all)")
    add_options(add("predict", predict, "attribute images of your own by a fitted cell"))
    tune_command.add_options(add("tune", tune_command.tune, "search the settings of a preset on validation images"))
    scaffold = add("new-method", scaffold_method, "write a plugin and its test to start from")
    scaffold.add_argument("name", help="in lower case, such as my_method")
    scaffold.add_argument("--folder", type=Path, default=CHECKOUT, help="checkout to write into")
    return words


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    status: int = options.run(options)
    return status


def local_roots(results: Path) -> list[Path]:
    """Folders <results>/<data set>/<preset> that hold cells."""
    # Without the hidden folder of running cells, which may vanish under the search.
    return sorted({path.parents[2] for path in results.glob(f"[!.]*/*/*/*/{CELL}")})


def committed_roots(leaderboards: Path) -> list[Path]:
    """Folders <leaderboards>/<board>/cells that hold cells."""
    return sorted({path.parents[2] for path in leaderboards.glob(f"*/{CELLS}/*/*/{CELL}")})


def local_cells(results: Path) -> list[tuple[Path, Record]]:
    """The finished cells of this machine.

    Raises:
        UserError: there are none.
    """
    found = [(folder, record) for root in local_roots(results) for folder, record in records_below(root)]
    done = [(folder, record) for folder, record in found if record.status == "done"]
    if not done:
        raise UserError(f"no finished cells in {results}; make some with python run_all.py")
    return done


def cells_of(methods: str | None, results: Path) -> list[tuple[Path, Record]]:
    """The finished cells of the named methods on this machine, or all.

    Raises:
        UserError: a name has none, or the list is empty.
    """
    cells = local_cells(results)
    if methods is None:
        return cells
    wanted = word_list(methods, "--methods")
    chosen = [(folder, record) for folder, record in cells if record.cell.key in wanted]
    if absent := sorted(set(wanted) - {record.cell.key for _, record in chosen}):
        raise UserError(f"no finished cells of '{absent[0]}' in {results}; run it first")
    return chosen


def all_cells(options: argparse.Namespace) -> list[Path]:
    """Folders of local and committed cells.

    Raises:
        UserError: there are none.
    """
    roots = [*local_roots(options.results), *committed_roots(options.leaderboards)]
    cells = [folder for root in roots for folder in cell_folders(root)]
    if not cells:
        raise UserError(f"no cells in {options.results} or {options.leaderboards}; make some with python run_all.py")
    return cells


def boards(options: argparse.Namespace) -> Iterator[Board]:
    """Every board that local or committed cells belong to."""
    one_of_each = {folder.parents[1]: folder for folder in all_cells(options)}
    cells = [record.cell for record in map(read_record, one_of_each.values()) if record is not None]
    for dataset, preset in sorted({(cell.dataset, cell.preset) for cell in cells}):
        yield build_board(dataset, preset, options.results, options.leaderboards)


def evaluate_cells(options: argparse.Namespace) -> int:
    cells = local_cells(options.results)
    for folder, record in progress(cells, len(cells), "evaluating"):
        write_json(folder / EVALUATION, evaluate_cell(folder, record.data, options.official))
    say(f"{len(cells)} cells evaluated from their stored predictions")
    return 0


def write_boards(options: argparse.Namespace) -> int:
    registry = load_registry()
    for board in boards(options):
        say(f"leaderboard: {write_board(board, registry, options.leaderboards)}")
    return 0


def draw_figures(options: argparse.Namespace) -> int:
    for board in boards(options):
        chapter = next((part for part in board.chapters if part.data), None)
        if chapter is None:
            say(f"no picture of {board.name}: none of its cells is finished")
            continue
        folder = options.out or options.leaderboards / board.name
        name = f"{board.name}.png" if options.out else "accuracy-auc.png"
        say(f"picture: {accuracy_against_auc(chapter, folder / name)}")
        curves = curves_frame(chapter.entries)
        if len(curves):
            name = f"{board.name}-rounds.png" if options.out else "rounds.png"
            say(f"picture: {draw_curves(curves, board.name, folder / name)}")
    return 0


def cluster_cells(options: argparse.Namespace) -> int:
    """Cluster what is missing and write the boards again."""
    cells = cells_of(options.methods, options.results)
    computed = cluster_command.cluster_all(cells, cluster_command.plan_of(options), options.jobs)
    say(f"{computed} clusterings computed now, of {len(cells)} cells")
    return write_boards(options)


def compare_views(options: argparse.Namespace) -> int:
    cells = cells_of(options.methods, options.results)
    return similarity_command.similarity(cells, options)


def compare_rankings(options: argparse.Namespace) -> int:
    return agreement_command.agreement(list(boards(options)), options)


def verify_cells(options: argparse.Namespace) -> int:
    """Check local and committed cells; status 1 if something is wrong."""
    cells = all_cells(options)
    faults = [fault for folder in progress(cells, len(cells), "verifying") for fault in verify_cell(folder)]
    for fault in faults:
        say(fault)
    say(f"{len(cells)} cells checked, {len(faults)} faults")
    return 1 if faults else 0


def submit(options: argparse.Namespace) -> int:
    """Copy the small files of finished cells; large ones (models, features) stay on this machine."""
    cells = cells_of(options.methods, options.results)
    for folder, record in cells:
        board = options.leaderboards / f"{record.cell.dataset}-{record.cell.preset}"
        place_cell(folder, board / CELLS / record.cell.key / folder.name)
    say(f"{len(cells)} cells copied to {options.leaderboards}; commit them together with the board")
    return 0


def place_cell(source: Path, target: Path) -> None:
    """Replace a committed cell; its old files go only when the new ones are there."""
    beside = target.with_name(f".{target.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name in SMALL_FILES:
        if (source / name).is_file():
            shutil.copy2(source / name, beside / name)
    if (source / FOLDER).is_dir():
        shutil.copytree(source / FOLDER, beside / FOLDER)
    if read_record(beside) is None:
        raise UserError(f"{source} holds no cell")
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)


def scaffold_method(options: argparse.Namespace) -> int:
    for path in new_method(options.name, options.folder):
        say(f"written: {path}")
    return 0
