"""The options of `python run_all.py`, and what those of several commands mean."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cells.presets import preset_names
from benchmark.running.backends import BACKENDS
from datasets.core.command import Parser
from datasets.core.places import open_place
from datasets.core.split_list import word_list
from datasets.errors import UserError

if TYPE_CHECKING:
    from benchmark.cells.presets import Preset
    from methods.core.registry import Registry

CHECKOUT = Path(__file__).parents[2]
RESULTS, LEADERBOARDS = CHECKOUT / "results", CHECKOUT / "leaderboards"
AS_RUN_ALL = "as of run_all.py"


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


def add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the cells")


def add_places(parser: argparse.ArgumentParser) -> None:
    """Where cells and boards lie."""
    add_results(parser)
    parser.add_argument("--leaderboards", type=Path, default=LEADERBOARDS, help="folder of the boards")


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help=f"{AS_RUN_ALL} (default: auto)")


def method_keys(text: str | None) -> list[str] | None:
    """Names from `--methods`, or None where it was not given.

    Raises:
        UserError: the list is empty.
    """
    return None if text is None else word_list(text, "--methods")


def requested(methods: str | None, ablation: str | None, registry: Registry) -> list[str]:
    """The method keys that are asked for, by name, by study or both; by default all with their standing variants.

    Raises:
        UserError: an unknown study or an empty list.
    """
    if methods is None and ablation is None:
        return registry.rows
    keys = method_keys(methods) or []
    if ablation is not None:
        if ablation not in registry.ablations:
            known = ", ".join(registry.ablations) or "none"
            raise UserError(f"unknown ablation '{ablation}'; the methods declare {known}")
        keys += [key for key in registry.ablations[ablation] if key not in keys]
    return keys


def job_count(text: str, device: str, preset: Preset) -> int:
    """Cells side by side; `auto`: one on an accelerator, else as many as the cores hold threads.

    Raises:
        UserError: neither `auto` nor a positive number.
    """
    from joblib import cpu_count  # both of no use to a look at the options, which should be quick

    from methods.core.device import choose, is_accelerator

    if text == "auto":
        return 1 if is_accelerator(choose(device)) else max(1, cpu_count() // preset.run.threads)
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--jobs {text}: write auto or a positive number")
    return int(text)


def make_folders(**folders: Path) -> None:
    """Make the folders of options now, before hours of work need them.

    Raises:
        UserError: one cannot be made or written, or is something else.
    """
    for option, folder in folders.items():
        open_place(folder, f"--{option}", "choose another folder")
