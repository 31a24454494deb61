"""`python -m benchmark cluster`: cluster stored features, for the discovery table."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from benchmark.boards.committed import boards
from benchmark.cells.store import finished_cells_of
from benchmark.commands.options import add_places, method_keys
from benchmark.commands.stored import write_boards
from benchmark.evaluation.cluster_plan import FOUND, TRUE, ClusterPlan, cluster_all
from benchmark.evaluation.parts import ALL, POOLS
from benchmark.metrics.clustering import Normalisation
from datasets.console import say
from datasets.core.command import Command
from datasets.core.split_list import number_list, word_list
from datasets.errors import UserError


@dataclass(frozen=True)
class ClusterOptions:
    """Which cells, into how many clusters, and how."""

    results: Path
    leaderboards: Path
    methods: str | None
    k: str
    pool: str
    normalisation: Normalisation
    seeds: str
    n_init: int
    jobs: int

    def plan(self) -> ClusterPlan:
        """What they ask for.

        Raises:
            UserError: a rule is neither a word nor a positive number, or a number is not positive.
        """
        rules = tuple(word_list(self.k, "--k"))
        for rule in rules:
            if rule not in (TRUE, FOUND) and not (rule.isdecimal() and int(rule) > 0):
                raise UserError(f"--k {self.k}: write {TRUE}, {FOUND} or a positive number, with commas between")
        for option, number in (("--n-init", self.n_init), ("--jobs", self.jobs)):
            if number < 1:
                raise UserError(f"{option} {number}: write a positive number")
        seeds = tuple(number_list(self.seeds, "--seeds"))
        return ClusterPlan(rules, self.pool, self.normalisation, seeds, self.n_init)


class ClusterCells(Command[ClusterOptions]):
    """Cluster what is missing and write the boards again."""

    options = ClusterOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_places(parser)
        parser.add_argument("--methods", help="names, separated by commas (default: all)")
        parser.add_argument("--k", default=f"{TRUE},{FOUND}", metavar="RULES",
            help="true (classes of the pool), found (clusters of discovery methods), numbers; with commas")  # fmt: skip
        parser.add_argument("--pool", default=ALL, choices=list(POOLS), help="which test images (default: all)")
        parser.add_argument("--normalisation", default="none", choices=get_args(Normalisation),
            help="of the features (default: none, as published)")  # fmt: skip
        parser.add_argument("--seeds", default="0-2", help="of k-means (default: 0-2)")
        parser.add_argument("--n-init", type=int, default=10, help="starts, of which the best counts (default: 10)")
        parser.add_argument("--jobs", type=int, default=1, help="side by side, one thread each (default: 1)")

    def run(self, options: ClusterOptions) -> int:
        cells = finished_cells_of(method_keys(options.methods), options.results)
        computed = cluster_all(cells, options.plan(), options.jobs)
        say(f"{computed} clusterings computed now, of {len(cells)} cells")
        write_boards(boards(options.results, options.leaderboards), options.leaderboards)
        return 0
