"""Compute what a store lacks of a plan, watched on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.cells.cell import Cell
from benchmark.cells.store import Store
from benchmark.evaluation.curve import CURVE
from benchmark.running.job import Outcome
from benchmark.running.progress import tidy
from benchmark.running.runner import Execution, run_plan
from benchmark.running.watch import Watch
from datasets.console import say
from datasets.types import Dataset
from methods.core.method import Method
from methods.core.registry import Registry


def compute_missing(cells: Sequence[Cell], dataset: Dataset, execution: Execution, registry: Registry) -> list[Outcome]:
    """Run the cells that are not done, with progress; what became of them."""
    store = Store(execution.results)
    tidy(store, cells)  # also of done cells: a run may have been killed between storing one and taking its mark away
    missing = [cell for cell in cells if not store.done(cell)]
    if not missing:
        return []
    for name in dict.fromkeys(cell.split for cell in missing):
        dataset.split(name)  # decode once, here; a mistake in a later split stops before hours of training
    side_by_side = f"{execution.jobs} side by side"
    say(f"{len(missing)} of {len(cells)} cells to compute, {side_by_side}; results in {execution.results}")
    watch = Watch(missing, store)
    with watch.running():
        return run_plan(missing, execution, registry, watch.on_finished)


def without_curve(cells: Sequence[Cell], store: Store, registry: Registry) -> list[Cell]:
    """Finished cells whose training could have been watched and was not."""
    return [
        cell
        for cell in cells
        if issubclass(registry[cell.method], Method) and not cell.released
        if store.done(cell) and not (store.folder(cell) / CURVE).is_file()
    ]
