"""The commands of `python -m benchmark`: what is made from stored cells, without training."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmark.cli import CHECKOUT
from benchmark.console import say
from benchmark.execute import reevaluate
from benchmark.figures import accuracy_against_auc
from benchmark.leaderboard import CELLS, Board, build_board, write_board
from benchmark.scaffold import new_method
from benchmark.store import CELL, EVALUATION, HISTORY, PREDICTIONS, read_record, records_below
from benchmark.verify import verify_cell
from datasets.console import progress
from datasets.errors import UserError
from methods.core.registry import discover

SMALL_FILES = (CELL, EVALUATION, PREDICTIONS, HISTORY)


def parser() -> argparse.ArgumentParser:
    """Options of every command; a contract, as those of run_all.py."""
    words = argparse.ArgumentParser(prog="python -m benchmark", description=__doc__)
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
        if name == "submit":
            command.add_argument("--methods", help="names, separated by commas (default: all)")
    scaffold = add("new-method", scaffold_method, "write a plugin and its test to start from")
    scaffold.add_argument("name", help="in lower case, such as my_method")
    scaffold.add_argument("--folder", type=Path, default=CHECKOUT, help="checkout to write into")
    return words


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    status: int = options.run(options)
    return status


def places(results: Path) -> list[tuple[str, str]]:
    """Data set and preset of every board that the results folder holds cells for.

    Raises:
        UserError: there are none.
    """
    found = sorted({path.parents[2] for path in results.glob(f"*/*/*/*/{CELL}")})
    if not found:
        raise UserError(f"no cells in {results}; make some with python run_all.py")
    return list(dict.fromkeys((path.parent.name, path.name) for path in found if not path.parent.name.startswith(".")))


def boards(options: argparse.Namespace) -> Iterator[Board]:
    for dataset, preset in places(options.results):
        yield build_board(dataset, preset, options.results, options.leaderboards)


def evaluate_cells(options: argparse.Namespace) -> int:
    folders = [
        folder
        for dataset, preset in places(options.results)
        for folder, record in records_below(options.results / dataset / preset)
        if record.status == "done"
    ]
    for folder in progress(folders, len(folders), "evaluating"):
        reevaluate(folder, official=options.official)
    say(f"{len(folders)} cells evaluated from their stored predictions")
    return 0


def write_boards(options: argparse.Namespace) -> int:
    registry = discover()
    for board in boards(options):
        say(f"leaderboard: {write_board(board, registry, options.leaderboards)}")
    return 0


def draw_figures(options: argparse.Namespace) -> int:
    for board in boards(options):
        folder = options.out or options.leaderboards / board.name
        name = f"{board.name}.png" if options.out else "accuracy-auc.png"
        say(f"picture: {accuracy_against_auc(board, folder / name)}")
    return 0


def verify_cells(options: argparse.Namespace) -> int:
    """Check local and committed cells; status 1 if something is wrong."""
    roots = [options.results / dataset / preset for dataset, preset in places(options.results)]
    roots += sorted(options.leaderboards.glob(f"*/{CELLS}"))
    cells = [found for root in roots for found in records_below(root)]
    faults = [
        fault for folder, record in progress(cells, len(cells), "verifying") for fault in verify_cell(folder, record)
    ]
    for fault in faults:
        say(fault)
    say(f"{len(cells)} cells checked, {len(faults)} faults")
    return 1 if faults else 0


def submit(options: argparse.Namespace) -> int:
    """Copy the small files of finished cells; large ones (models, features) stay on this machine."""
    wanted = None if options.methods is None else {key.strip() for key in options.methods.split(",")}
    copied = 0
    for dataset, preset in places(options.results):
        root, target = options.results / dataset / preset, options.leaderboards / f"{dataset}-{preset}" / CELLS
        for folder, record in records_below(root):
            if record.status == "done" and (wanted is None or record.key in wanted):
                place_cell(folder, target / folder.relative_to(root))
                copied += 1
    say(f"{copied} cells copied to {options.leaderboards}; commit them together with the board")
    return 0


def place_cell(source: Path, target: Path) -> None:
    """Replace a committed cell; its old files go only when the new ones are there."""
    beside = target.with_name(f".{target.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name in SMALL_FILES:
        if (source / name).is_file():
            shutil.copy2(source / name, beside / name)
    if read_record(beside) is None:
        raise UserError(f"{source} holds no cell")
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)


def scaffold_method(options: argparse.Namespace) -> int:
    for path in new_method(options.name, options.folder):
        say(f"written: {path}")
    return 0
