"""`python run_all.py` on images of files: changed pixels are computed anew, and confounds are said before training."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from benchmark.cells.path import CELL
from benchmark.cells.record import read_record
from benchmark.commands import run_all
from datasets.console import exit_status
from datasets.pixels.cache import ENVIRONMENT
from tests.datasets.own_images import DESCRIPTION


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A description of a few images, with a cache of its own."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for role in ("train", "val", "test"):
        for name in ("real", "first", "second"):
            folder = tmp_path / "images" / role / name
            folder.mkdir(parents=True)
            for index in range(4):
                pixels = rng.integers(0, 256, (130, 130, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.bmp")
    (tmp_path / "own.yaml").write_text(DESCRIPTION)
    return tmp_path


@pytest.fixture
def call(home, registry, capsys):
    """The command on these images: standard output, standard error."""
    places = ["--results", str(home / "results"), "--leaderboards", str(home / "boards"), "--jobs", "1"]

    def run():
        capsys.readouterr()
        words = [*places, "--preset", "smoke", "--dataset", str(home / "own.yaml"), "--methods", "nearest"]
        assert exit_status(lambda: run_all.main(words)) == 0
        output = capsys.readouterr()
        return output.out, output.err

    return run


def test_changed_pixels_of_equal_size_are_computed_anew_and_named_on_record_and_board(home, call):
    assert call()[0].endswith("1 of 1 cells done, 1 computed now\n")
    assert call()[0].endswith("1 of 1 cells done, 0 computed now\n")
    before = read_record(next((home / "results").rglob(CELL)).parent).facts.pixels
    Image.new("RGB", (130, 130), "red").save(home / "images/test/first/0.bmp")
    out, _ = call()
    assert out.endswith("1 of 1 cells done, 1 computed now\n")
    cell = home / "results/own/smoke/nearest/only-seed0"
    after = read_record(cell).facts.pixels
    assert after != before
    assert f"**pixels** `{after[:12]}`" in out


def test_confounds_are_one_line_before_training_and_none_where_nothing_is_trained(home, call):
    shutil.copy(home / "images/train/first/0.bmp", home / "images/test/first/0.bmp")
    out, err = call()
    (line,) = [line for line in (out + err).splitlines() if "the audit found confounds" in line]
    assert "own: the audit found confounds: only: duplicates: 1 images stand in several roles or classes" in line
    assert "the audit found confounds" not in "".join(call())


def test_data_in_order_have_no_line_and_what_is_passed_over_is_said(home, call):
    (home / "images/train/real/x.heic").touch()
    out, err = call()
    assert "confounds" not in out + err
    assert "own: passed over, by extension: 1 .heic\n" in out
