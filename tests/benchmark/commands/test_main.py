"""`python -m benchmark`: what is made of stored cells."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmark.cells.files import EVALUATION, HISTORY
from benchmark.cells.path import CELL
from benchmark.cells.record import read_record, write_record
from benchmark.cells.store import Store
from benchmark.commands.main import COMMANDS, main
from benchmark.evaluation.predictions import Predictions
from datasets.console import exit_status
from datasets.core.command import Parser
from methods.core.batches import Batch
from methods.core.method import Task
from methods.core.registry import load_registry
from methods.core.run import Run
from tests.benchmark.rows import figures, row_cell, store_row
from tests.benchmark.toy import PLUGINS, refused

ROOT = Path(__file__).parents[3]


@pytest.fixture
def places(tmp_path):
    return tmp_path / "my results", tmp_path / "my boards"


@pytest.fixture
def cells(places):
    """Two finished rows and a failed cell."""
    results, _ = places
    store_row(results, row_cell("nearest"), figures(0.25))
    store_row(results, row_cell("nearest", "split2"), status="failed", reason="why")
    store_row(results, row_cell("other@x"), figures(0.5))
    return results


def call(command, places, *options):
    results, leaderboards = places
    return main([command, "--results", str(results), "--leaderboards", str(leaderboards), *options])


def stored(folder):
    return json.loads((folder / EVALUATION).read_text())


# -- evaluate ----------------------------------------------------------------------------------------


def test_evaluate_computes_figures_from_predictions_again(places, cells, capsys):
    folder = Store(cells).folder(row_cell("nearest"))
    record = (folder / CELL).read_bytes()
    assert stored(folder)["closed_set"]["figures"]["accuracy"] == 0.25
    assert call("evaluate", places) == 0
    assert stored(folder)["closed_set"]["figures"]["accuracy"] == 1.0
    assert (folder / CELL).read_bytes() == record
    assert capsys.readouterr().out == "2 cells evaluated from their stored predictions\n"
    assert call("verify", places) == 0


def test_evaluate_adds_official_figures_on_request(places, cells):
    assert call("evaluate", places, "--official") == 0
    assert "official_oscr" in stored(Store(cells).folder(row_cell("nearest")))["unknown"]["all"]["figures"]
    assert call("verify", places) == 0


# -- leaderboard and figures -------------------------------------------------------------------------


def test_leaderboard_writes_one_board_for_each_data_set_and_preset(places, cells, capsys):
    store_row(cells, row_cell(preset="quick"), figures(0.5))
    assert call("leaderboard", places) == 0
    assert sorted(path.parent.name for path in places[1].glob("*/README.md")) == ["toy-quick", "toy-smoke"]
    assert capsys.readouterr().out.count("leaderboard: ") == 2


def test_leaderboard_works_where_only_committed_cells_are(places, cells):
    call("submit", places)
    shutil.rmtree(cells)
    assert call("leaderboard", places) == 0
    assert "committed" in (places[1] / "toy-smoke" / "README.md").read_text()


def test_figures_draw_a_picture_beside_each_board(places, cells):
    assert call("figures", places) == 0
    with Image.open(places[1] / "toy-smoke" / "accuracy-auc.png") as picture:
        assert picture.size[0] > 500
        assert len(picture.convert("RGB").getcolors(10**6) or []) > 10


def test_figures_go_into_a_chosen_folder_under_the_name_of_the_board(places, cells, tmp_path):
    assert call("figures", places, "--out", str(tmp_path / "new folder")) == 0
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["toy-smoke.png"]


def test_figures_pass_over_a_board_without_finished_cells(places, capsys):
    store_row(places[0], row_cell(), status="failed", reason="why")
    assert call("figures", places) == 0
    assert "no picture of toy-smoke: none of its cells is finished" in capsys.readouterr().out


# -- verify ------------------------------------------------------------------------------------------


def test_verify_finds_a_tampered_local_or_committed_cell_and_ends_with_1(places, cells, capsys):
    call("evaluate", places)
    call("submit", places)
    assert call("verify", places) == 0
    committed = places[1] / "toy-smoke" / "cells" / "nearest" / "split1-seed0" / EVALUATION
    committed.write_text(committed.read_text().replace('"accuracy": 1.0', '"accuracy": 0.5', 1))
    (cells / "toy" / "smoke" / "other@x" / "split1-seed0" / CELL).write_text("{")
    capsys.readouterr()
    assert call("verify", places) == 1
    *faults, last = capsys.readouterr().out.splitlines()
    assert len(faults) == 2
    assert "is damaged" in faults[0]
    assert f"{committed.parent}: closed_set.figures.accuracy is 0.5" in faults[1]
    assert last == "5 cells checked, 2 faults"


@pytest.mark.parametrize("command", ["leaderboard", "figures", "verify", "evaluate", "submit"])
def test_without_cells_there_is_nothing_to_do_and_the_remedy_is_told(places, command):
    with refused("make some with python run_all.py"):
        call(command, places)


# -- submit ------------------------------------------------------------------------------------------


def test_submit_copies_the_small_files_of_finished_cells(places, cells):
    folder = Store(cells).folder(row_cell("nearest"))
    (folder / HISTORY).write_text("epoch\n0\n")
    (folder / "features.npz").write_bytes(b"large")
    (folder / "model").mkdir()
    write_record(folder, read_record(folder))
    assert call("submit", places) == 0
    copied = places[1] / "toy-smoke" / "cells"
    assert sorted(path.relative_to(copied).as_posix() for path in copied.glob("*/*")) == [
        "nearest/split1-seed0", "other@x/split1-seed0",
    ]  # fmt: skip
    names = sorted(path.name for path in (copied / "nearest" / "split1-seed0").iterdir())
    assert names == sorted([CELL, EVALUATION, HISTORY, Predictions.FILE])


def test_submit_copies_the_named_methods_only_and_replaces_what_was_there(places, cells):
    assert call("submit", places, "--methods", "other@x") == 0
    copied = places[1] / "toy-smoke" / "cells"
    assert [path.name for path in copied.iterdir()] == ["other@x"]
    (copied / "other@x" / "split1-seed0" / "stray").touch()
    assert call("submit", places, "--methods", "other@x") == 0
    assert not (copied / "other@x" / "split1-seed0" / "stray").exists()
    assert [path.name for path in (copied / "other@x").iterdir()] == ["split1-seed0"]


def test_submit_refuses_a_method_without_finished_cells(places, cells):
    with refused("no finished cells of 'neares' in"):
        call("submit", places, "--methods", "nearest,neares")


# -- new-method --------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder into which `my_method` was scaffolded, and which the registry looks into."""
    monkeypatch.setenv("OSMA_BENCH_PLUGINS", str(tmp_path / "methods"))
    assert main(["new-method", "my_method", "--folder", str(tmp_path)]) == 0
    return tmp_path


def test_a_new_method_is_found_and_complete(checkout):
    registry = load_registry()
    assert registry.broken == {}
    plugin = registry["my_method"]
    assert (plugin.title, plugin.kind) == ("MyMethod", "osr")
    for preset in ("smoke", "quick", "standard", "paper"):
        assert registry.choose("my_method").config(preset)


def test_a_new_method_can_be_trained_a_step(checkout):
    plugin = load_registry()["my_method"]
    method = plugin(plugin.Config(width=4), Run(seed=0, device=torch.device("cpu")))
    method.task = Task(("real", "a"), 32)
    method.net = method.build()
    images = torch.rand(4, 3, 32, 32)
    terms = method.loss(Batch(images, torch.tensor([0, 1, 0, 1]), torch.arange(4)))
    assert torch.isfinite(terms["ce"])
    logits, _ = method.outputs(images)
    assert logits.shape == (4, 2)


def test_a_new_method_keeps_the_rules_of_the_house(checkout):
    files = [checkout / "methods" / "my_method.py", checkout / "tests" / "methods" / "test_my_method.py"]
    config = ["--config", str(ROOT / "pyproject.toml")]
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *config, *map(str, files)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_method_imports_from_lower_layers_only(checkout):
    source = (checkout / "methods" / "my_method.py").read_text()
    assert "osma_bench" not in source
    assert "benchmark" not in source


def test_the_test_of_a_new_method_passes(checkout):
    path = checkout / "tests" / "methods" / "test_my_method.py"
    spec = importlib.util.spec_from_file_location("test_my_method", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


def test_an_existing_method_is_never_overwritten(checkout):
    path = checkout / "methods" / "my_method.py"
    path.write_text("mine")
    with refused(f"{path} exists; choose another name"):
        main(["new-method", "my_method", "--folder", str(checkout)])
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["My", "my-method", "2nd", "a b", "../x", "class", ""])
def test_a_name_that_python_could_not_import_is_refused(tmp_path, name):
    with refused("cannot name a method; use lower-case letters"):
        main(["new-method", "--folder", str(tmp_path), "--", name])
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_package_is_refused(tmp_path):
    (tmp_path / "methods" / "core").mkdir(parents=True)
    with refused("is a package; choose another name"):
        main(["new-method", "core", "--folder", str(tmp_path)])


# -- the command line --------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [[], ["polish"], ["evaluate", "--nonsense"], ["new-method"]])
def test_a_command_that_cannot_be_read_is_one_line_on_stderr_and_2(capsys, argv):
    assert exit_status(lambda: main(argv)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1


def test_every_plugin_of_these_tests_is_a_file_of_this_folder():
    assert sorted(load_registry()) == sorted(path.stem for path in PLUGINS.glob("[!_]*.py"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_field_of_a_command_is_an_option(name):
    command, parser = COMMANDS[name].open(), Parser()
    command.add_options(parser)
    shown = {action.dest for action in parser._actions if action.help != argparse.SUPPRESS} - {"help"}
    assert shown == {field.name for field in fields(command.options)}
    assert COMMANDS[name].help


# -- a file where a folder is meant, and names that no disk can hold ---------------------------------


@pytest.mark.parametrize(
    "words",
    [("figures", "--out", "FILE"), ("submit", "--leaderboards", "FILE"), ("new-method", "some", "--folder", "FILE")],
)
def test_a_file_in_place_of_a_folder_is_one_line(places, cells, tmp_path, words):
    (tmp_path / "FILE").touch()
    words = [str(tmp_path / "FILE") if word == "FILE" else word for word in words]
    own = [] if words[0] == "new-method" else ["--results", str(cells)]
    with refused("FILE cannot be used: File exists; choose another folder"):
        main([words[0], *own, *words[1:]])


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--preset", "p" * 300, "cannot name a cell; see python -m benchmark predict --help"),
        ("--preset", "../..", "'../..' cannot name a cell"),
        ("--split", "a/b", "'a/b' cannot name a cell"),
        ("--out", "o" * 300, "a name of 300 bytes, no disk holds more than 255; shorten it"),
    ],
)
def test_predict_refuses_names_that_lead_elsewhere_or_that_no_disk_can_hold(places, option, value, message):
    words = {"--method": "nearest", "--images": ".", "--out": "x.csv", option: value}
    with refused(message):
        main(["predict", "--results", str(places[0]), *(word for pair in words.items() for word in pair)])
