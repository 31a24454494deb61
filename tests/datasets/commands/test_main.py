"""`python -m datasets`, from options to exit status."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from PIL import Image

from datasets.commands.main import main
from datasets.commands.options import add_data_options, request_of
from datasets.console import exit_status
from datasets.core.split_list import number_list, split_list, word_list
from datasets.errors import UserError
from datasets.mini.dataset import Mini
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
    words = ("check", "--dataset", "osma", "--data-root", tree.root, "--json", tree.root / "no/such/folder.json")
    assert run(*words) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_sizes_are_the_settings_of_a_preset() -> None:
    words = argparse.ArgumentParser()
    add_data_options(words)
    assert request_of(words.parse_args([])).settings == DataSettings(image_size=64)
    assert request_of(words.parse_args(["--dataset", "osma"])).settings == DataSettings(image_size=128)
    given = request_of(words.parse_args(MINI)).settings
    assert given == DataSettings(image_size=32, train_per_class=2, val_per_class=1, test_per_class=2)
    with pytest.raises(UserError, match="--train-per-class 0: should be greater than or equal to 1"):
        request_of(words.parse_args(["--train-per-class", "0"]))


def test_splits_are_written_as_numbers_ranges_or_names() -> None:
    mini = Mini(DataSettings(image_size=64))
    every = [f"split{number}" for number in range(1, 6)]
    assert split_list(None, mini) == split_list("1-5", mini) == every
    assert split_list("3, split1,3", mini) == ["split3", "split1"]
    assert split_list("calibration", mini) == ["calibration"]
    assert number_list("0-2,7", "--seeds") == [0, 1, 2, 7]
    for text, message in (("6", "mini has no 'split6'"), ("b", "mini has no 'b'"), ("5-1", "runs backwards")):
        with pytest.raises(UserError, match=message):
            split_list(text, mini)
    with pytest.raises(UserError, match="--seeds x: write numbers such as"):
        number_list("x", "--seeds")


def test_names_are_written_with_commas_and_an_empty_list_is_refused() -> None:
    assert word_list(" pose, base@ce,,pose", "--methods") == ["pose", "base@ce", "pose"]
    for text in ("", " ,"):
        with pytest.raises(UserError, match=f"--methods '{text}' is empty; write names with commas between"):
            word_list(text, "--methods")
