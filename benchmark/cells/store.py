"""Results on disk: a folder for every cell, filled elsewhere, flushed, renamed. A kill leaves a whole cell or none."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark.cells.cell import Cell
from benchmark.cells.path import cell_folders, local_roots, set_aside_name
from benchmark.cells.record import Record, Status, read_record
from datasets.core.partial import flush_folder, moved_away, put_in_place
from datasets.core.places import writing
from datasets.errors import UserError

_RUNNING = ".running"
RESULT = "result"  # what is going to be a cell, within its scratch

Stored = Sequence[tuple[Path, Record]]  # cells with their folders


class Store:
    """The results folder.

    Args:
        root: the folder; made when the first cell is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, cell: Cell) -> Path:
        return self.root / cell.path.in_results

    def needed(self, cell: Cell, key: str) -> Path:
        """Folder of a required method's cell on the same split and seed."""
        return self.root / cell.path.of(key).in_results

    def scratch(self, cell: Cell) -> Path:
        """Where the unfinished work of a cell lies; its name holds the hash, so settings never mix."""
        return self._running(cell) / cell.hash[:16]

    def status(self, cell: Cell) -> Status | None:
        """The status of this very cell, or None: not there, or there with other settings."""
        record = read_record(self.folder(cell))
        return record.status if record is not None and record.hash == cell.hash else None

    def done(self, cell: Cell) -> bool:
        return self.status(cell) == "done"

    def holds_finished(self, cell: Cell) -> bool:
        """Whether a finished cell lies in this one's place, of whatever settings."""
        return self._is_finished(self.folder(cell))

    def unmet(self, cell: Cell) -> list[str]:
        """Keys of required methods whose cell is not there, not finished, or of other settings."""
        records = {key: read_record(self.needed(cell, key)) for key in cell.needs}
        return [
            key
            for key, record in records.items()
            if record is None or (record.status, record.hash) != ("done", cell.needs[key])
        ]

    @contextmanager
    def writing(self, cell: Cell, keep_work: bool = False) -> Iterator[Path]:
        """A folder to fill, which takes the cell's place when the block ends well; else the old cell stays.

        Args:
            keep_work: whether unfinished work of the cell is kept, for another try.

        Raises:
            Unwritable: the disk does not take it.
        """
        unfinished = self.scratch(cell) / RESULT
        with writing(self.root):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            try:
                yield unfinished
                flush_folder(unfinished)
                self._commit(cell, unfinished)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        if not keep_work:
            self.clear(cell)

    def clear(self, cell: Cell) -> None:
        """Drop unfinished work of a cell, of whatever settings."""
        shutil.rmtree(self._running(cell), ignore_errors=True)

    def set_aside(self, cell: Cell) -> None:
        """Make room: a finished cell gets another name, one that failed or was skipped goes."""
        folder = self.folder(cell)
        with writing(self.root):
            if self._is_finished(folder):
                folder.rename(self._free_name(folder))
            elif folder.exists():
                shutil.rmtree(folder)

    def _commit(self, cell: Cell, filled: Path) -> None:
        """Put a filled folder into the cell's place; a finished cell there is set aside, any other goes."""
        folder = self.folder(cell)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if self._is_finished(folder):
            with moved_away(folder, self._free_name(folder)):
                put_in_place(filled, folder)
        else:
            put_in_place(filled, folder)

    def _is_finished(self, folder: Path) -> bool:
        record = read_record(folder)
        return record is not None and record.status == "done"

    def _free_name(self, folder: Path) -> Path:
        names = (set_aside_name(number, folder) for number in itertools.count())
        return next(name for name in names if not name.exists())

    def _running(self, cell: Cell) -> Path:
        return self.root / _RUNNING / cell.path.in_results


# -- what is stored --------------------------------------------------------------------------------------


def records_below(root: Path) -> Iterator[tuple[Path, Record]]:
    """The cells of one board below its root, with their records."""
    for folder in cell_folders(root):
        record = read_record(folder)
        if record is not None:
            yield folder, record


def finished_cells(results: Path) -> list[tuple[Path, Record]]:
    """The finished cells of this machine.

    Raises:
        UserError: there are none.
    """
    found = [stored for root in local_roots(results) for stored in records_below(root)]
    done = [(folder, record) for folder, record in found if record.status == "done"]
    if not done:
        raise UserError(f"no finished cells in {results}; make some with python run_all.py")
    return done


def finished_cells_of(keys: Sequence[str] | None, results: Path) -> list[tuple[Path, Record]]:
    """The finished cells of some rows on this machine; None: of all.

    Raises:
        UserError: a row has none.
    """
    cells = finished_cells(results)
    if keys is None:
        return cells
    chosen = [(folder, record) for folder, record in cells if record.cell.key in keys]
    if absent := sorted(set(keys) - {record.cell.key for _, record in chosen}):
        raise UserError(f"no finished cells of '{absent[0]}' in {results}; run it first")
    return chosen
