"""What a command waits for before it answers: slow libraries are imported where they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.commands.options import CHECKOUT
from tests.benchmark.rows import SPLITS, row_cell, store_row

HEAVY = {"torch", "torchvision", "timm", "sklearn", "scipy", "skimage", "matplotlib", "pandas", "joblib"}
FOR_MODELS = HEAVY - {"torch", "pandas", "joblib", "scipy"}

SCRIPT = """
import atexit, runpy, sys
atexit.register(lambda: print("imported", *sorted(sys.modules)))
sys.argv = {argv!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


def imported(module: str, *argv: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after running a command well."""
    script = SCRIPT.format(argv=[module, *argv], module=module)
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()[1:]}


@pytest.mark.parametrize(("module", "argv"), [("run_all", ["--help"]), ("benchmark", ["--help"])])
def test_a_look_at_the_options_waits_for_none_of_them(module: str, argv: list[str]) -> None:
    assert imported(module, *argv) & HEAVY == set()


def test_a_list_of_methods_imports_their_files_and_torch_alone() -> None:
    assert imported("run_all", "--list") & HEAVY == {"torch"}


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    for split in SPLITS:
        store_row(tmp_path / "results", row_cell("nearest", split))
    return ["--results", str(tmp_path / "results"), "--leaderboards", str(tmp_path / "boards")]


@pytest.mark.parametrize("command", ["evaluate", "verify", "leaderboard"])
def test_commands_over_stored_cells_need_no_library_of_models_or_pictures(places: list[str], command: str) -> None:
    imported("benchmark", "evaluate", *places)
    assert imported("benchmark", command, *places) & FOR_MODELS == set()


def test_a_run_with_nothing_to_compute_needs_none_either(tmp_path: Path) -> None:
    places = ["--results", str(tmp_path / "results"), "--leaderboards", str(tmp_path / "boards")]
    words = ["--methods", "nearest", "--splits", "1", "--preset", "smoke", "--jobs", "1", *places]
    imported("tests.benchmark.toy_run_all", *words)
    assert imported("tests.benchmark.toy_run_all", *words) & FOR_MODELS == set()
