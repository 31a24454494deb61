"""`python -m datasets`, from options to exit status."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from datasets.commands.main import COMMANDS, main
from datasets.commands.options import DataOptions, add_data_options
from datasets.console import exit_status
from datasets.core.command import Parser, typed
from datasets.errors import UserError
from datasets.settings import DataSettings
from tests.datasets.osma_tree import Tree

MINI = ["--image-size", "32", "--train-per-class", "2", "--val-per-class", "1", "--test-per-class", "2"]

pytestmark = pytest.mark.usefixtures("own_cache")


def run(*words: object) -> int:
    return exit_status(lambda: main(list(map(str, words))))


def test_an_export_checks_clean_and_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, report = tmp_path / "mini", tmp_path / "check.json"
    assert run("export", "--to", root, *MINI) == 0
    assert f"--dataset osma --data-root {root}" in capsys.readouterr().out
    assert run("check", "--dataset", "osma", "--data-root", root, "--json", report, *MINI) == 0
    content = json.loads(report.read_text())
    assert (content["status"], content["coverage"], content["title"]) == (0, 1.0, "mini (stand-in generators)")
    assert capsys.readouterr().out.splitlines()[-1] == "mini (stand-in generators): clean"
    assert run("prepare", "--dataset", "osma", "--data-root", root, "--splits", "1", *MINI) == 0
    assert run("info", "--dataset", "osma", "--data-root", root, "--picture", tmp_path / "look.png", *MINI) == 0
    with Image.open(tmp_path / "look.png") as image:
        assert min(image.size) > 100
    assert run("export", "--to", root, *MINI) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_exit_status_says_how_bad_it_is(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("check", "--dataset", "osma", "--data-root", tree.root)
    assert run(*words) == 0
    next((tree.root / "OSMA/real/summer").iterdir()).unlink()
    assert run(*words) == 1
    listed = sum(name.startswith("real/summer/") for name in tree.names)
    assert f"missing: 1 of {listed} in real/summer" in capsys.readouterr().out.splitlines()
    tree.annotation("split1", "train").write_text("")
    assert run(*words) == 2


def test_info_of_files_counts_lists_and_decodes_nothing(
    whole_tree: Tree, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("info", "--dataset", "osma", "--data-root", whole_tree.root, "--split", "split3") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    counts = [str(len(whole_tree.lines["split2", role])) for role in ("train", "val", "test")]
    assert next(line for line in lines if line[0] == "split2")[:5] == ["split2", "15", *counts]
    label = sum(name.startswith("real/") for name, _ in whole_tree.lines["split3", "train"])
    assert next(line for line in lines if line[0] == "real")[1] == str(label)
    assert not list(own_cache.glob("*.pixels"))


def test_a_result_file_that_cannot_be_written_is_one_line(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    (tree.root / "file").touch()
    words = ("check", "--dataset", "osma", "--data-root", tree.root, "--json", tree.root / "file" / "result.json")
    assert run(*words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: cannot write {tree.root}/file/result.json: ") and "choose another --json" in error


def settings_of(*words: str) -> DataSettings:
    parser = Parser()
    add_data_options(parser)
    return typed(DataOptions, parser.parse_args(words)).request().settings


def test_sizes_are_the_settings_of_a_preset() -> None:
    assert settings_of() == DataSettings(image_size=64)
    assert settings_of("--dataset", "osma") == DataSettings(image_size=128)
    assert settings_of(*MINI) == DataSettings(image_size=32, train_per_class=2, val_per_class=1, test_per_class=2)
    with pytest.raises(UserError, match="--train-per-class 0: should be greater than or equal to 1"):
        settings_of("--train-per-class", "0")


@pytest.mark.parametrize(
    ("words", "message", "page"),
    [
        ((), "the following arguments are required: COMMAND", ""),
        (("chek",), "argument COMMAND: invalid choice: 'chek'", ""),
        (("info", "--image-size", "small"), "argument --image-size: invalid int value: 'small'", " info"),
        (("export",), "the following arguments are required: --to", " export"),
        (("info", "--colour"), "unrecognized arguments: --colour", " info"),
    ],
)
def test_what_argparse_complains_of_is_one_line_too(
    words: tuple[str, ...], message: str, page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {message}")
    assert lines[0].endswith(f"  (all options: python -m datasets{page} --help)")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_typed_field_and_every_field_an_option(name: str) -> None:
    command, parser = COMMANDS[name].open(), Parser()
    command.add_options(parser)
    dests = {action.dest for action in parser._actions} - {"help"}
    assert dests == {field.name for field in fields(command.options)}
    assert COMMANDS[name].help and command.description.endswith(".")
