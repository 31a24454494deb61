"""Which cells are clustered into how many groups: `python -m benchmark cluster`, and what a run adds by itself."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from benchmark.boards.rows import evaluation_of
from benchmark.cells.store import CELL, EVALUATION, Record, read_record, records_below, write_json
from benchmark.evaluation.cell import evaluate_cell
from benchmark.evaluation.cluster_cells import FEATURES, FOUND, TRUE, Wish, compute, missing
from benchmark.evaluation.pools import ALL, POOLS, in_pool, true_classes
from benchmark.evaluation.predictions import Predictions
from benchmark.metrics.clustering import Normalisation
from benchmark.running.watch import warn
from datasets.console import progress
from datasets.core.split_list import number_list, word_list
from datasets.errors import UserError

DISCOVERY = "discovery"  # the kind of methods that say how many groups there are

Cells = Sequence[tuple[Path, Record]]


@dataclass(frozen=True)
class ClusterPlan:
    """What to compute for every cell; the defaults are the protocol of the discovery table.

    Attributes:
        rules: numbers of groups: "true" (classes in the pool), "found" (groups that a discovery method
            formed on the same split and seed), or a number.
        pool, normalisation, n_init: see `Wish`.
        seeds: of k-means.
    """

    rules: tuple[str, ...] = (TRUE, FOUND)
    pool: str = ALL
    normalisation: Normalisation = "none"
    seeds: tuple[int, ...] = (0, 1, 2)
    n_init: int = 10

    def wishes(self, cell: Path, record: Record) -> list[Wish]:
        """All clusterings of one cell."""
        numbers = dict.fromkeys(k for rule in self.rules for k in self._numbers(rule, cell, record))
        return [Wish(k, self.pool, self.normalisation, seed, self.n_init) for k in numbers for seed in self.seeds]

    def _numbers(self, rule: str, cell: Path, record: Record) -> list[int]:
        if rule == FOUND:
            return sorted({found_groups(folder, other, self.pool) for folder, other in beside(cell, record)})
        return [true_number(cell, self.pool)] if rule == TRUE else [int(rule)]


def true_number(cell: Path, pool: str) -> int:
    """How many classes a pool holds."""
    predictions = Predictions.load(cell)
    inside = in_pool(predictions.part, pool)
    return len(np.unique(true_classes(predictions.part, predictions.label)[inside]))


def found_groups(cell: Path, record: Record, pool: str) -> int:
    """How many groups a discovery cell has in a pool."""
    rows = evaluation_of(cell, record)["clusterings"]
    return int(next(row["groups"] for row in rows if (row["pool"], row["of"]) == (pool, "all")))


def beside(cell: Path, record: Record) -> Iterator[tuple[Path, Record]]:
    """Finished discovery cells of the same data, split and seed."""
    for file in sorted(cell.parents[1].glob(f"*/{cell.name}/{CELL}")):
        other = read_record(file.parent)
        if other is None or other.cell.fingerprint != record.cell.fingerprint:
            continue
        if (other.kind, other.status) == (DISCOVERY, "done"):
            yield file.parent, other


def cluster_all(cells: Cells, plan: ClusterPlan, jobs: int = 1) -> int:
    """Compute what the plan lacks, and bring the evaluations of all cells up to date.

    Returns:
        How many clusterings were computed now.
    """
    ordinary = [(folder, record) for folder, record in cells if record.kind != DISCOVERY]
    tasks = [(folder, wish) for folder, record in ordinary for wish in missing(folder, plan.wishes(folder, record))]
    pruned = sorted({folder for folder, _ in tasks if not (folder / FEATURES).is_file()})
    if pruned:
        warn(f"{len(pruned)} cells without {FEATURES} are not clustered, such as {pruned[0]}")
    tasks = [(folder, wish) for folder, wish in tasks if folder not in pruned]
    touched = set(progress(compute(tasks, jobs), len(tasks), f"clustering features, {len(tasks)} times"))
    for folder, record in ordinary:
        if folder in touched or outdated(folder):
            write_json(folder / EVALUATION, evaluate_cell(folder, record.data, official=_is_official(folder)))
    return len(tasks)


def outdated(cell: Path) -> bool:
    """Whether groupings are kept that the evaluation does not know, as after a kill."""
    kept = sum(not path.name.startswith(".") for path in (cell / "clusters").glob("*.npz"))
    return kept != len(_stored(cell).get("clusterings", ()))


def _is_official(cell: Path) -> bool:
    return any(name.startswith("official") for name in _stored(cell).get("groups", {}).get(ALL, ()))


def _stored(cell: Path) -> dict[str, dict[str, dict[str, float]]]:
    try:
        return dict(json.loads((cell / EVALUATION).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def cluster_for_table(root: Path, jobs: int) -> int:
    """What the discovery table of a board needs: its protocol, for all methods with a discovery cell beside them.

    Variants are left to `python -m benchmark cluster`: a study of settings would drown the table.

    Args:
        root: folder <results>/<data set>/<preset>.
    """
    cells = [
        (folder, record)
        for folder, record in records_below(root)
        if record.status == "done" and record.cell.variant is None and any(beside(folder, record))
    ]
    return cluster_all(cells, ClusterPlan(), jobs)


def add_options(words: argparse.ArgumentParser) -> None:
    """Which cells, into how many groups, and how."""
    words.add_argument("--methods", help="names, separated by commas (default: all)")
    words.add_argument("--k", default=f"{TRUE},{FOUND}", metavar="RULES",
        help="true (classes in the pool), found (groups of a discovery method), numbers; with commas")  # fmt: skip
    words.add_argument("--pool", default=ALL, choices=list(POOLS), help="which test images (default: all)")
    words.add_argument("--normalisation", default="none", choices=get_args(Normalisation),
        help="of the features (default: none, as published)")  # fmt: skip
    words.add_argument("--seeds", default="0-2", help="of k-means (default: 0-2)")
    words.add_argument("--n-init", type=int, default=10, help="starts, of which the best counts (default: 10)")
    words.add_argument("--jobs", type=int, default=1, help="side by side, one thread each (default: 1)")


def plan_of(options: argparse.Namespace) -> ClusterPlan:
    """What the options ask for.

    Raises:
        UserError: a rule is neither a word nor a positive number, or a number is not positive.
    """
    rules = tuple(word_list(options.k, "--k"))
    for rule in rules:
        if rule not in (TRUE, FOUND) and not (rule.isdecimal() and int(rule) > 0):
            raise UserError(f"--k {options.k}: write {TRUE}, {FOUND} or a positive number, with commas between")
    for name in ("n_init", "jobs"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} {getattr(options, name)}: write a positive number")
    seeds = tuple(number_list(options.seeds, "--seeds"))
    return ClusterPlan(rules, options.pool, options.normalisation, seeds, options.n_init)
