"""Run a plan: side by side, needed cells first, resubmitting what a dead worker took with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path

from joblib import Parallel, delayed, parallel_config

from benchmark.cells import Cell
from benchmark.execute import Job, Outcome, execute, store_failure
from benchmark.store import Store
from datasets.catalogue import DataRequest
from datasets.errors import UserError
from methods.core.device import choose, is_accelerator
from methods.core.registry import Registry

BACKENDS = ("loky", "dask", "ray")
DEATHS_ALLOWED = 1  # a cell that was running at two worker deaths is given up
STARTED = "started"


@dataclass(frozen=True)
class Execution:
    """Where and how side by side cells run; without influence on their results."""

    data: DataRequest
    results: Path
    device: str = "auto"
    jobs: int = 1
    backend: str = "loky"
    fail_fast: bool = False


def default_jobs(device: str, threads: int) -> int:
    """Cells side by side: one on an accelerator, else as many as the cores hold threads."""
    if is_accelerator(choose(device)):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


def waves(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Cells grouped so that all a cell needs lies in earlier groups."""
    depth: dict[Path, int] = {}
    grouped: list[list[Cell]] = []
    for cell in cells:  # a plan lists required cells first
        level = max((depth[cell.sibling(key)] + 1 for key in cell.needs), default=0)
        depth[cell.path] = level
        if level == len(grouped):
            grouped.append([])
        grouped[level].append(cell)
    return grouped


def run_plan(
    cells: Sequence[Cell], execution: Execution, registry: Registry, told: Callable[[Outcome], None]
) -> list[Outcome]:
    """Compute every cell that the store lacks.

    Args:
        cells: the plan, required cells before those that need them.
        execution: device, workers, back end.
        registry: for what has to be written about a cell whose worker died.
        told: is called with every outcome as it comes.

    Returns:
        The outcomes of the cells that were computed now.
    """
    store, outcomes = Store(execution.results), list[Outcome]()
    for wave in waves(cells):
        for outcome in _run_wave([cell for cell in wave if not store.done(cell)], execution, store, registry):
            outcomes.append(outcome)
            told(outcome)
            if execution.fail_fast and outcome.status == "failed":
                return outcomes
    return outcomes


def _run_wave(cells: list[Cell], execution: Execution, store: Store, registry: Registry) -> Iterator[Outcome]:
    """One wave; the store says what a broken pool left undone."""
    deaths: Counter[Path] = Counter()
    pending = list(cells)
    while pending:
        reported: set[Path] = set()
        try:
            for outcome in _parallel(pending, execution):
                reported.add(outcome.cell.path)
                yield outcome
            return
        except BrokenExecutor:
            lost = [cell for cell in pending if cell.path not in reported and not store.done(cell)]
            in_flight = [cell for cell in lost if (store.scratch(cell) / STARTED).exists()]
            deaths.update(cell.path for cell in in_flight)
            given_up = [cell for cell in in_flight if deaths[cell.path] > DEATHS_ALLOWED]
            for cell in in_flight:
                (store.scratch(cell) / STARTED).unlink(missing_ok=True)
            for cell in given_up:
                reason = f"its worker process died {deaths[cell.path]} times (out of memory, or killed)"
                store_failure(store, cell, registry[cell.method], "failed", reason)
                yield Outcome(cell, "failed", 0.0, reason)
            yield from (Outcome(c, "done", 0.0) for c in pending if c.path not in reported and store.done(c))
            pending = [cell for cell in lost if cell not in given_up]


def _parallel(cells: list[Cell], execution: Execution) -> Iterator[Outcome]:
    jobs = [Job(cell, execution.data, execution.results, execution.device) for cell in cells]
    with parallel_config(_backend(execution.backend), n_jobs=execution.jobs):
        yield from Parallel(return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)(
            delayed(tracked)(job) for job in jobs
        )


def tracked(job: Job) -> Outcome:
    """`execute`, leaving a mark while it runs: whoever finds it after a crash knows what was in flight."""
    mark = Store(job.results).scratch(job.cell) / STARTED
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    outcome = execute(job)
    mark.unlink(missing_ok=True)
    return outcome


def _backend(name: str) -> str:
    """Make a back end known to joblib.

    Raises:
        UserError: its package is not installed.
    """
    if name == "ray":
        try:
            from ray.util.joblib import register_ray
        except ImportError:
            raise UserError("--backend ray needs the package ray: pip install 'osma-bench[ray]'") from None
        register_ray()
    if name == "dask":
        try:
            import distributed  # noqa: F401 - registers the back end
        except ImportError:
            raise UserError("--backend dask needs dask.distributed: pip install 'osma-bench[dask]'") from None
    return name


def connect(scheduler: str | None) -> None:
    """Join a running dask scheduler or ray cluster.

    Raises:
        UserError: the address cannot be used.
    """
    if scheduler is None:
        return
    try:
        from distributed import Client
    except ImportError:
        raise UserError("--scheduler needs dask.distributed: pip install 'osma-bench[dask]'") from None
    Client(scheduler)
