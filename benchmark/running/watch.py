"""What a run shows: a bar over all cells, the cells at work, a line for every one that ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import TaskID

from benchmark.cells.cell import Cell
from benchmark.cells.files import LOG
from benchmark.cells.store import Store
from benchmark.running.job import Outcome
from benchmark.running.progress import standing
from datasets.console import errors, progress_bar

POLL_SECONDS = 0.5
_STYLES = {"done": "green", "failed": "red", "skipped": "yellow"}


class Watch:
    """Follows a run through the small files that its workers write.

    Where there is no terminal, only the lines of cells that ended are shown.

    Args:
        cells: those that are going to be computed.
        store: where they are going to appear.
    """

    def __init__(self, cells: Sequence[Cell], store: Store) -> None:
        self._cells, self._store = list(cells), store
        self._bar = progress_bar()
        self._total = self._bar.add_task("cells", total=float(max(1, len(cells))))
        self._rows: dict[str, TaskID] = {}
        self._ended: set[str] = set()
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[Watch]:
        """Show progress while the block runs."""
        poller = threading.Thread(target=self._poll, daemon=True)
        with self._bar:
            poller.start()
            try:
                yield self
            finally:
                self._stop.set()
                poller.join()
                self._update()

    def on_finished(self, outcome: Outcome) -> None:
        """Print the line of a cell that ended."""
        title = outcome.cell.title
        self._ended.add(title)
        style, count = _STYLES[outcome.status], f"{len(self._ended)}/{len(self._cells)}"
        took = "by another run" if outcome.elsewhere else f"{outcome.seconds:.1f} s"
        errors.print(f"[{style}]{outcome.status:7}[/]  {escape(title)}  {took}  ({count})")
        if outcome.reason:
            errors.print(f"         {outcome.reason}", markup=False)
            log = self._store.folder(outcome.cell) / LOG
            if log.exists():  # a full disk takes not even a log
                errors.print(f"         log: {log}", markup=False)

    def _poll(self) -> None:
        while not (self._stop.wait(POLL_SECONDS) or self._bar.disable):
            self._update()

    def _update(self) -> None:
        parts = float(len(self._ended))
        for cell in self._cells:
            if cell.title in self._ended:
                self._hide(cell.title)
            else:
                parts += self._show(cell)
        self._bar.update(self._total, completed=parts)

    def _show(self, cell: Cell) -> float:
        """Update the row of a cell at work; the share of the cell that is done."""
        at = standing(self._store, cell)
        if at is None:
            return 0.0
        row = self._rows.get(cell.title)
        if row is None:
            row = self._rows[cell.title] = self._bar.add_task("")
        share = min(1.0, (at.epoch + at.step / max(1, at.steps)) / max(1, at.epochs))
        text = f"  {escape(cell.title)}  {escape(at.stage)}"
        total = float(at.epochs)
        self._bar.update(row, description=text, completed=share * total, total=total)
        return 0.95 * share  # predicting and storing are still to come

    def _hide(self, title: str) -> None:
        row = self._rows.pop(title, None)
        if row is not None:
            self._bar.remove_task(row)
