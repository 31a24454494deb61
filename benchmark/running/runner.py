"""Run a plan: side by side, needed cells first, resubmitting what a dead worker took with it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from joblib import Parallel, delayed

from benchmark.cells.cell import Cell
from benchmark.cells.claims import can_claim
from benchmark.cells.path import CellPath
from benchmark.cells.store import Store
from benchmark.running.backends import register
from benchmark.running.execute import execute, store_failure
from benchmark.running.job import Job, Outcome, PassedOver
from benchmark.running.progress import abandoned, started_mark, tidy
from datasets.catalogue import DataRequest
from datasets.console import note, warn
from datasets.core.workers import begun, replaced_workers
from methods.core.registry import Registry

DEATHS_ALLOWED = 1  # a cell that was running at two worker deaths is given up


@dataclass(frozen=True)
class Execution:
    """Where and how side by side cells run; without influence on their results."""

    data: DataRequest
    results: Path
    device: str = "auto"
    jobs: int = 1
    backend: str = "loky"
    fail_fast: bool = False
    curve: bool = False  # also predict the test images after every epoch
    released: Mapping[str, Path] = field(default_factory=dict)  # folders of released weights by the key of their row

    def job(self, cell: Cell, passed_over: PassedOver | None = None) -> Job:
        results = self.results.absolute()  # a worker may have another working directory
        return Job(cell, self.data, results, self.device, self.curve, self.released.get(cell.key), passed_over)


def waves(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Cells grouped so that all a cell needs lies in earlier groups, or is not among them."""
    depth: dict[CellPath, int] = {}
    grouped: list[list[Cell]] = []
    for cell in cells:  # a plan lists required cells first
        level = max((depth.get(cell.path.of(key), -1) + 1 for key in cell.needs), default=0)
        depth[cell.path] = level
        if level == len(grouped):
            grouped.append([])
        grouped[level].append(cell)
    return grouped


def run_plan(
    cells: Sequence[Cell], execution: Execution, registry: Registry, on_finished: Callable[[Outcome], None]
) -> list[Outcome]:
    """Compute every cell that the store lacks.

    Args:
        cells: the plan, required cells before those that need them.
        execution: device, workers, back end.
        registry: for what has to be written about a cell whose worker died.
        on_finished: is called with every outcome as it comes.

    Returns:
        The outcomes of the cells that were computed now.
    """
    store, outcomes = Store(execution.results), list[Outcome]()
    if not can_claim(store):
        warn(f"files of {store.root} cannot be locked: another run there would compute the same cells once more")
    try:
        for wave in waves(cells):
            missing = [cell for cell in wave if not store.done(cell)]
            with closing(_run_wave(missing, execution, store, registry)) as running:
                for outcome in running:
                    outcomes.append(outcome)
                    on_finished(outcome)
                    if execution.fail_fast and outcome.status == "failed":
                        return outcomes
        return outcomes
    finally:
        tidy(store, cells)


def _run_wave(
    cells: list[Cell], execution: Execution, store: Store, registry: Registry
) -> Generator[Outcome, None, None]:
    """One wave. Cells that another run has in hand come last: they are waited for when nothing else is left to do."""
    elsewhere: dict[CellPath, PassedOver] = {}
    for ended in _run_cells(cells, execution, store, registry, elsewhere):
        if isinstance(ended, PassedOver):
            elsewhere[ended.cell.path] = ended
        else:
            yield ended
    waiting = [cell for cell in cells if cell.path in elsewhere]
    if waiting:
        note(f"{len(waiting)} cells are computed by another run on {store.root}; waiting for it")
        for ended in _run_cells(waiting, execution, store, registry, elsewhere):
            if isinstance(ended, Outcome):
                yield ended


def _run_cells(
    cells: list[Cell],
    execution: Execution,
    store: Store,
    registry: Registry,
    elsewhere: Mapping[CellPath, PassedOver],
) -> Iterator[Outcome | PassedOver]:
    """Cells that need nothing of each other; what a broken pool left undone is submitted again.

    Cells that were running when a worker died go last and one by one, so that the next death has one
    suspect and a bystander is not blamed twice.
    """
    deaths: Counter[CellPath] = Counter()
    breaks = 0  # one after the other without any cell at work
    batches = deque([cells] if cells else [])
    while batches:
        pending, ended = batches.popleft(), set[CellPath]()
        try:
            for outcome in _parallel(pending, execution, store, elsewhere):
                ended.add(outcome.cell.path)
                yield outcome
        except BrokenExecutor:
            left = [cell for cell in pending if cell.path not in ended]
            yield from (Outcome(cell, "done", 0.0) for cell in left if store.done(cell))
            lost = [cell for cell in left if not store.done(cell)]
            suspects = [cell for cell in lost if abandoned(store, cell)]
            breaks = 0 if suspects or len(lost) < len(pending) else breaks + 1
            if breaks > DEATHS_ALLOWED:  # nothing even started, as when workers cannot read what they are sent
                raise
            deaths.update(cell.path for cell in suspects)
            given_up = [cell for cell in suspects if deaths[cell.path] > DEATHS_ALLOWED]
            yield from (_give_up(cell, deaths[cell.path], store, registry) for cell in given_up)
            untouched = [cell for cell in lost if cell not in suspects]
            batches.extend([untouched] if untouched else [])
            batches.extend([cell] for cell in suspects if cell not in given_up)


def _give_up(cell: Cell, deaths: int, store: Store, registry: Registry) -> Outcome:
    reason = f"its worker process died {deaths} times (out of memory, or killed)"
    store_failure(store, cell, registry[cell.method], "failed", reason)
    started_mark(store, cell).unlink(missing_ok=True)
    return Outcome(cell, "failed", 0.0, reason)


def _parallel(
    cells: list[Cell], execution: Execution, store: Store, elsewhere: Mapping[CellPath, PassedOver]
) -> Iterator[Outcome | PassedOver]:
    """Outcomes as they come; one cell of several jobs still gets a process of its own, which may die."""
    tidy(store, cells)  # what a run that was killed has left
    tasks = [delayed(execute)(execution.job(cell, elsewhere.get(cell.path))) for cell in cells]
    workers = 1 if execution.jobs == 1 else min(execution.jobs, max(2, len(cells)))
    backend = register(execution.backend)
    pool = Parallel(workers, backend, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)
    with replaced_workers():
        yield from begun(pool, tasks)
