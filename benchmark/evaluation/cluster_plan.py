"""Which cells are clustered into how many clusters: the protocol of the discovery table, or what a user asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.cells.files import EVALUATION, write_json
from benchmark.cells.path import neighbours
from benchmark.cells.record import Record, read_record
from benchmark.cells.store import Stored, records_below
from benchmark.evaluation.cell import answers_in, evaluate_cell, evaluation_of, stored_evaluation
from benchmark.evaluation.cluster_cells import (
    FEATURES,
    KMeansRequest,
    compute,
    kept_clusterings,
    missing,
    number_formed,
)
from benchmark.evaluation.discovery import Groups
from benchmark.evaluation.figures import DiscoveryEvaluation, Evaluation
from benchmark.evaluation.parts import ALL, in_pool, true_classes
from benchmark.evaluation.predictions import Predictions
from benchmark.metrics.clustering import Normalisation
from datasets.console import progress, warn

TRUE, FOUND = "true", "found"  # number of classes in the pool, and of clusters that a discovery method found there


@dataclass(frozen=True)
class ClusterPlan:
    """What to compute for every cell; the defaults are the protocol of the discovery table.

    Attributes:
        rules: numbers of clusters: "true" (classes in the pool), "found" (clusters that a discovery method
            formed on the same split and seed), or a number.
        pool, normalisation, n_init: see `KMeansRequest`.
        seeds: of k-means.
    """

    rules: tuple[str, ...] = (TRUE, FOUND)
    pool: str = ALL
    normalisation: Normalisation = "none"
    seeds: tuple[int, ...] = (0, 1, 2)
    n_init: int = 10

    def requests(self, cell: Path, record: Record) -> list[KMeansRequest]:
        """All clusterings of one cell."""
        numbers = dict.fromkeys(k for rule in self.rules for k in self._numbers(rule, cell, record))
        return [
            KMeansRequest(k, self.pool, self.normalisation, seed, self.n_init) for k in numbers for seed in self.seeds
        ]

    def _numbers(self, rule: str, cell: Path, record: Record) -> list[int]:
        if rule == FOUND:
            return sorted({found_clusters(found, self.pool) for found in discoveries(cell, record)})
        return [true_number(cell, self.pool)] if rule == TRUE else [int(rule)]


def true_number(cell: Path, pool: str) -> int:
    """How many classes a pool holds."""
    predictions = Predictions.load(cell)
    inside = in_pool(predictions.part, pool)
    return len(np.unique(true_classes(predictions.part, predictions.label)[inside]))


def found_clusters(found: DiscoveryEvaluation, pool: str) -> int:
    """How many clusters a discovery cell has in a pool."""
    return next(row.clusters for row in found.clusterings if (row.pool, row.of) == (pool, "all"))


def discoveries(cell: Path, record: Record) -> Iterator[DiscoveryEvaluation]:
    """Finished discovery cells of the same data, split and seed."""
    for folder in neighbours(cell):
        other = read_record(folder)
        if other is None or (other.cell.fingerprint, other.status) != (record.cell.fingerprint, "done"):
            continue
        if answers_in(folder) is Groups:
            evaluation = evaluation_of(folder, other)
            assert isinstance(evaluation, DiscoveryEvaluation)
            yield evaluation


def cluster_all(cells: Stored, plan: ClusterPlan, jobs: int = 1) -> int:
    """Compute what the plan lacks, and bring the evaluations of all cells up to date.

    Returns:
        How many clusterings were computed now.
    """
    scored = [(folder, record) for folder, record in cells if answers_in(folder) is Predictions]
    tasks = [(folder, task) for folder, record in scored for task in missing(folder, plan.requests(folder, record))]
    pruned = sorted({folder for folder, _ in tasks if not (folder / FEATURES).is_file()})
    if pruned:
        warn(f"{len(pruned)} cells without {FEATURES} are not clustered, such as {pruned[0]}")
    tasks = [(folder, task) for folder, task in tasks if folder not in pruned]
    touched = set(progress(compute(tasks, jobs), len(tasks), f"clustering features, {len(tasks)} times"))
    _tell_of_fewer(tasks)
    for folder, record in scored:
        if folder in touched or outdated(folder):
            write_json(folder / EVALUATION, evaluate_cell(folder, record.facts, official=_is_official(folder)))
    return len(tasks)


def _tell_of_fewer(tasks: Sequence[tuple[Path, KMeansRequest]]) -> None:
    """One line where features have fewer distinct rows than clusters were asked for."""
    fewer = [(folder, task.k, formed) for folder, task in tasks if (formed := number_formed(folder, task)) < task.k]
    if fewer:
        folder, asked, formed = fewer[0]
        such = f"such as {formed}, not {asked}, in {folder}"
        warn(f"{len(fewer)} clusterings formed fewer groups than asked, {such}: too many images have equal features")


def outdated(cell: Path) -> bool:
    """Whether clusterings are kept that the evaluation does not know, as after a kill."""
    stored = stored_evaluation(cell)
    return len(kept_clusterings(cell)) != (len(stored.clusterings) if isinstance(stored, Evaluation) else 0)


def _is_official(cell: Path) -> bool:
    stored = stored_evaluation(cell)
    return isinstance(stored, Evaluation) and stored.official


def cluster_for_table(root: Path, jobs: int) -> int:
    """What the discovery table of a board needs: its protocol, for all methods with a discovery cell of their split.

    Variants are left to `python -m benchmark cluster`: a study of settings would drown the table.

    Args:
        root: of the local cells of one board.
    """
    cells = [
        (folder, record)
        for folder, record in records_below(root)
        if record.status == "done" and record.cell.variant is None and any(discoveries(folder, record))
    ]
    return cluster_all(cells, ClusterPlan(), jobs)
