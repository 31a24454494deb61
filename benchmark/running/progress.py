"""How a worker tells where it stands: small files beside the unfinished work of its cell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.cells.cell import Cell
from benchmark.cells.files import typed, write_json
from benchmark.cells.store import Store
from methods.core.run import Progress

_STARTED, _PROGRESS = "started", "progress.json"


def started_mark(store: Store, cell: Cell) -> Path:
    """The file that lies there while a cell is computed: who finds it after a crash knows what was in flight."""
    return store.scratch(cell) / _STARTED


@contextmanager
def marked(store: Store, cell: Cell) -> Iterator[None]:
    """The mark lies there while the block runs, and stays if the process dies in it."""
    mark = started_mark(store, cell)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    yield
    mark.unlink(missing_ok=True)


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
