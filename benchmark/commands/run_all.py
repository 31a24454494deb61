"""`python run_all.py`: its options, and the door of the process. What it does lies in `run`."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from benchmark.cells.presets import preset_names
from benchmark.commands.options import LEADERBOARDS, RESULTS
from benchmark.running.backends import BACKENDS
from datasets.console import exit_status
from datasets.core.command import Parser, typed


@dataclass(frozen=True)
class RunOptions:
    """The options of run_all.py, as they were written."""

    methods: str | None
    splits: str | None
    seeds: str
    dataset: str
    data_root: Path | None
    preset: str
    overrides: list[str]
    variant: str | None
    ablation: str | None
    curve: bool
    device: str
    jobs: str
    backend: str
    scheduler: str | None
    results: Path
    leaderboards: Path
    checkpoints: list[str]
    force: bool
    fail_fast: bool
    list: bool
    plan: bool


def parser() -> Parser:
    """The options of run_all.py: a contract, to be added to and never renamed."""
    parser = Parser(
        prog="python run_all.py",
        description="Compare attribution and open-set methods and write a leaderboard. "
        "Without options: every method on the embedded data set, preset quick.",
    )
    add = parser.add_argument
    add("--methods", help="names, separated by commas, with variants as name@variant (default: all)")
    add("--splits", default=None, help="such as 1, 1-5, split1 or names (default: all five)")
    add("--seeds", default="0", help="such as 0, 0-2 or 0,3 (default: 0)")
    add("--dataset", default="mini", help="mini, osma, or a YAML file of your own (default: mini)")
    add("--data-root", type=Path, help="folder of the data set's files")
    add("--preset", default="quick", help=f"{', '.join(preset_names())} (default: quick)")
    add("--set", action="append", default=[], metavar="OWNER.KEY=VALUE", dest="overrides",
        help="change a setting of a method, of data or of run; makes a row of its own")  # fmt: skip
    add("--variant", help="name of the row that --set makes (default: custom-<hash>)")
    add("--ablation", help="run the rows of a study that a method declares")
    add("--curve", action="store_true", help="watch accuracy and AUC over the epochs of every training")
    add("--device", default="auto", help="auto, or a device such as the first accelerator's name (default: auto)")
    add("--jobs", default="auto", help="cells side by side (default: auto)")
    add("--backend", default="loky", choices=BACKENDS, help="joblib back end (default: loky)")
    add("--scheduler", help="address of a running dask scheduler")
    add("--results", type=Path, default=RESULTS, help="where cells are kept")
    add("--leaderboards", type=Path, default=LEADERBOARDS, help="where boards are kept")
    add("--checkpoint", action="append", default=[], metavar="METHOD=DIR", dest="checkpoints",
        help="score weights that the authors released instead of training; makes the row METHOD@released")  # fmt: skip
    add("--force", action="store_true", help="compute finished cells again; the old ones are moved aside")
    add("--fail-fast", action="store_true", help="stop at the first failure")
    add("--list", action="store_true", help="show methods, variants and studies, then stop")
    add("--plan", action="store_true", help="show what would run, then stop")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Raises:
        UserError: the request cannot be run.
    """
    options = typed(RunOptions, parser().parse_args(argv))
    from benchmark.commands.run import run_all  # every method and torch, which `--help` does not wait for

    return run_all(options)


class Terminated(BaseException):
    """The process was asked to end; what is finished is kept."""


def console_main() -> int:
    """Entry for a process: signals and mistakes become exit statuses."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        return exit_status(main)
    except Terminated:
        return 128 + signal.SIGTERM
