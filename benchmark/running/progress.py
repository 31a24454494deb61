"""How a worker tells where it stands: small files beside the unfinished work of its cell."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.cells.cell import Cell
from benchmark.cells.claims import claimed
from benchmark.cells.files import typed, write_json
from benchmark.cells.store import RESULT, Store
from datasets.core.partial import drop_partials
from datasets.core.places import Unwritable, writing
from methods.core.run import Progress

_STARTED, _PROGRESS = "started", "progress.json"


def started_mark(store: Store, cell: Cell) -> Path:
    """The file that lies there while a cell is computed: who finds it after a crash knows what was in flight."""
    return store.scratch(cell) / _STARTED


@contextmanager
def marked(store: Store, cell: Cell) -> Iterator[None]:
    """The mark lies there while the block runs, and stays if the process dies in it."""
    mark = started_mark(store, cell)
    with writing(mark):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    try:
        yield
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


def abandoned(store: Store, cell: Cell) -> bool:
    """Whether whoever computed the cell has died in it; a cell at work in another run is not."""
    if not started_mark(store, cell).exists():
        return False
    with claimed(store, cell) as ours:
        return ours


def tidy(store: Store, cells: Sequence[Cell]) -> None:
    """Remove marks and half-written files of cells that nobody is at any more; the state of a training stays."""
    for cell in cells:
        scratch = store.scratch(cell)
        if not scratch.is_dir():
            continue
        with suppress(Unwritable), claimed(store, cell) as ours:
            if ours:
                _tidy(scratch)


def _tidy(scratch: Path) -> None:
    shutil.rmtree(scratch / RESULT, ignore_errors=True)
    for name in (_STARTED, _PROGRESS):
        (scratch / name).unlink(missing_ok=True)
    for folder in (scratch, *scratch.glob("*/")):
        drop_partials(folder)
    with suppress(OSError):  # a folder that holds something stays
        scratch.rmdir()
        scratch.parent.rmdir()  # that of the cell; those above are not ours alone


def reporter(store: Store, cell: Cell) -> Callable[[Progress], None]:
    """What a run calls with its progress."""
    path = store.scratch(cell) / _PROGRESS
    return lambda progress: write_json(path, progress)


def standing(store: Store, cell: Cell) -> Progress | None:
    """The last report of a cell at work; None for a cell that is not, or that has not reported yet."""
    if not started_mark(store, cell).exists():
        return None
    try:
        return typed(Progress, json.loads((store.scratch(cell) / _PROGRESS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
