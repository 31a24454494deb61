"""Results on disk: a folder a cell, written beside, flushed, renamed. A kill leaves a whole cell or none."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.cell import Cell
from datasets.errors import UserError

SCHEMA = 1
Status = Literal["done", "failed", "skipped"]
Arrays = Mapping[str, NDArray[Any]]

CELL, PREDICTIONS, EVALUATION, HISTORY, LOG = (
    "cell.json", "predictions.npz", "evaluation.json", "history.csv", "run.log",
)  # fmt: skip
_RUNNING = ".running"
_OLD = re.compile(r"\.old\d+$")  # how the name of a cell that was set aside ends


@dataclass(frozen=True)
class Record:
    """The content of a cell.json.

    Attributes:
        cell: the cell that was computed.
        hash: of that cell, as it was computed under.
        status: "done", "failed" or "skipped"; the last two carry a `reason`.
        kind, title, paper: of the method, so that boards need not import it.
        tables: leaderboard tables that show the row; empty: those of its kind.
        data: title, coverage, split and class names of the data set.
        cost: seconds, images per second, weights, peak memory.
        made_with: time, commit, versions, device, threads.
    """

    cell: Cell
    hash: str
    status: Status
    kind: str
    title: str
    paper: str
    tables: tuple[str, ...] = ()
    reason: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


def read_record(folder: Path) -> Record | None:
    """The record of a cell folder, or None if there is none.

    Raises:
        UserError: the file is damaged or comes from a newer release.
    """
    path = folder / CELL
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] > SCHEMA:
            raise UserError(f"{path} was written by a newer release (schema {content['schema']}); update osma-bench")
        return Record(**{**content, "cell": Cell(**content["cell"]), "tables": tuple(content["tables"])})
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is damaged ({reason}); delete its folder to compute the cell again") from None


class Store:
    """The results folder.

    Args:
        root: the folder; made when the first cell is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, cell: Cell) -> Path:
        return self.root / cell.path

    def scratch(self, cell: Cell) -> Path:
        """Where the unfinished work of a cell lies; its name holds the hash, so settings never mix."""
        return self.root / _RUNNING / cell.path / cell.hash[:16]

    def status(self, cell: Cell) -> Status | None:
        """The status of this very cell, or None: not there, or there with other settings."""
        record = read_record(self.folder(cell))
        return record.status if record is not None and record.hash == cell.hash else None

    def done(self, cell: Cell) -> bool:
        return self.status(cell) == "done"

    @contextmanager
    def writing(self, cell: Cell) -> Iterator[Path]:
        """A folder to fill, which takes the cell's place when the block ends well."""
        beside = self.scratch(cell) / "result"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        yield beside
        flush_folder(beside)
        self.set_aside(cell)
        target = self.folder(cell)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.rename(target)
        _flush(target.parent)
        self.clear(cell)

    def clear(self, cell: Cell) -> None:
        """Drop unfinished work of a cell, of whatever settings."""
        shutil.rmtree(self.root / _RUNNING / cell.path, ignore_errors=True)

    def set_aside(self, cell: Cell) -> None:
        """Make room: a finished cell gets another name, one that failed or was skipped goes."""
        folder = self.folder(cell)
        record = read_record(folder)
        if record is not None and record.status == "done":
            names = (folder.with_name(f"{folder.name}.old{number}") for number in itertools.count())
            folder.rename(next(old for old in names if not old.exists()))
        elif folder.exists():
            shutil.rmtree(folder)


def cell_folders(folder: Path) -> Iterator[Path]:
    """Cells in the layout <method>/<split>-seed<k> below a folder, in a stable order; not those set aside."""
    for path in sorted(folder.glob(f"*/*/{CELL}")):
        name = path.parent.name
        if not (name.startswith(".") or _OLD.search(name)):
            yield path.parent


def records_below(folder: Path) -> Iterator[tuple[Path, Record]]:
    """The cells below a folder with their records."""
    for cell in cell_folders(folder):
        record = read_record(cell)
        if record is not None:
            yield cell, record


def write_record(folder: Path, record: Record) -> None:
    content = asdict(record)
    content["cell"].pop("needed_by")  # tells about a plan, not about the cell
    write_json(folder / CELL, content)


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; numbers stay numbers, NaN becomes null."""
    beside = path.with_name(f".{path.name}.partial")
    beside.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    beside.replace(path)


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays by name, compressed.

    Raises:
        TypeError: an array holds Python objects, which only a pickle could store.
    """
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:
        raise TypeError(f"cannot store Python objects: {', '.join(objects)}")
    columns: dict[str, Any] = dict(arrays)
    np.savez_compressed(path, **columns)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def flush_folder(folder: Path) -> None:
    """Force every file of a folder, and the folder itself, to the disk."""
    for path in [*folder.rglob("*"), folder]:
        _flush(path)


def _flush(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def plain(value: Any) -> Any:
    """A nested value as JSON holds it: text keys, plain numbers, None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
