"""What the options of several commands mean."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import cpu_count

from datasets.core.split_list import word_list
from datasets.errors import UserError

if TYPE_CHECKING:
    from benchmark.cells.presets import Preset
    from methods.core.registry import Registry

CHECKOUT = Path(__file__).parents[2]
RESULTS, LEADERBOARDS = CHECKOUT / "results", CHECKOUT / "leaderboards"
AS_RUN_ALL = "as of run_all.py"


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
    from methods.core.device import choose, is_accelerator  # torch, which a look at the options does not need

    if text == "auto":
        return 1 if is_accelerator(choose(device)) else max(1, cpu_count() // preset.run.threads)
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--jobs {text}: write auto or a positive number")
    return int(text)


def make_folders(**folders: Path) -> None:
    """Make the folders of options now, before hours of work need them.

    Raises:
        UserError: one cannot be made or is something else.
    """
    for option, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--{option} {folder} cannot be used: {error.strerror}; choose another folder") from None
