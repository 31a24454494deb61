"""The boards of a folder, and the committed cells that they are made of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmark.boards.leaderboard import Board, build_board
from benchmark.cells.digests import changed_files, strange_entries
from benchmark.cells.files import CLUSTERS
from benchmark.cells.path import cell_folders, cell_places, committed_root, committed_roots, local_roots
from benchmark.cells.record import Record, read_record
from benchmark.evaluation.cell import SMALL_FILES
from datasets.core.partial import whole_folder
from datasets.errors import UserError


def all_cells(results: Path, leaderboards: Path) -> list[Path]:
    """Folders of local and committed cells.

    Raises:
        UserError: there are none.
    """
    roots = [*local_roots(results), *committed_roots(leaderboards)]
    cells = [folder for root in roots for folder in cell_folders(root)]
    if not cells:
        raise UserError(f"no cells in {results} or {leaderboards}; make some with python run_all.py")
    return cells


def all_places(results: Path, leaderboards: Path) -> list[Path]:
    """Everything that lies where local and committed cells lie, for whoever looks for faults.

    Raises:
        UserError: there are no cells.
    """
    roots = dict.fromkeys(cell.parents[1] for cell in all_cells(results, leaderboards))
    return [place for root in roots for place in cell_places(root)]


def boards(results: Path, leaderboards: Path) -> Iterator[Board]:
    """Every board that local or committed cells belong to.

    Raises:
        UserError: there are no cells.
    """
    one_of_each = {folder.parents[1]: folder for folder in all_cells(results, leaderboards)}
    cells = [record.cell for record in map(read_record, one_of_each.values()) if record is not None]
    for dataset, preset in sorted({(cell.dataset, cell.preset) for cell in cells}):
        yield build_board(dataset, preset, results, leaderboards)


def commit_cell(folder: Path, record: Record, leaderboards: Path) -> Path:
    """Copy the small files of a cell to its board; a cell there goes only when the new one is whole.

    Returns:
        The folder of the copy.

    Raises:
        UserError: its files are not those that were stored, or are links or no plain files.
    """
    faults = [*strange_entries(folder), *changed_files(folder, record.files, SMALL_FILES.__contains__)]
    if record.digest is not None and faults:
        raise UserError(f"{folder} is not copied: {faults[0][1]}; see python -m benchmark verify")
    target = committed_root(leaderboards, record.cell.path.board) / record.cell.path.in_board
    with whole_folder(target) as unfinished:
        for name in SMALL_FILES:
            if (folder / name).is_file():
                shutil.copy2(folder / name, unfinished / name)
        if (folder / CLUSTERS).is_dir():
            shutil.copytree(folder / CLUSTERS, unfinished / CLUSTERS)
        if read_record(unfinished) is None:
            raise UserError(f"{folder} holds no cell")
    return target
