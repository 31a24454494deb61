"""`python -m benchmark verify --dataset`: whether cells were computed on the images that are there now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.cells.presets import load_preset
from benchmark.commands.main import main
from benchmark.studies.verify_data import check_data
from datasets.catalogue import DataRequest
from datasets.pixels.cache import ENVIRONMENT
from tests.benchmark.rows import DATA, row_cell, store_row
from tests.benchmark.toy import refused
from tests.datasets.own_images import DESCRIPTION


@pytest.fixture
def yaml(tmp_path, monkeypatch) -> Path:
    """A description of a few images, with a cache of its own."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for role in ("train", "val", "test"):
        for name in ("real", "first", "second"):
            folder = tmp_path / "images" / role / name
            folder.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / "0.bmp")
    (tmp_path / "own.yaml").write_text(DESCRIPTION)
    return tmp_path / "own.yaml"


def cell_of(yaml, results, **fields):
    """A finished cell that was computed on the images as they are."""
    data = DataRequest(str(yaml), None, load_preset("smoke", str(yaml), {}).data).open()
    cell = row_cell(dataset="own", **{"fingerprint": data.fingerprint, **fields})
    return store_row(results, cell, data=replace(DATA, pixels=data.pixels))


def change(yaml):
    Image.new("RGB", (20, 20), "red").save(yaml.parent / "images/train/real/0.bmp")


def test_cells_of_the_images_at_hand_have_no_fault(yaml, tmp_path):
    folder = cell_of(yaml, tmp_path / "results")
    found = check_data([folder], str(yaml), None)
    assert (found.compared, found.faults, found.left) == (1, (), ())


def test_changed_pixels_are_a_fault_with_a_remedy(yaml, tmp_path):
    folder = cell_of(yaml, tmp_path / "results")
    change(yaml)
    found = check_data([folder], str(yaml), None)
    (fault,) = found.faults
    assert found.compared == 0
    assert fault == (
        f"{folder}: was computed on other pixels or labels than the data set gives now; "
        "compute it again with run_all.py"
    )


def test_another_recipe_of_equal_pixels_is_told_apart(yaml, tmp_path):
    folder = cell_of(yaml, tmp_path / "results", fingerprint="f" * 64)
    (fault,) = check_data([folder], str(yaml), None).faults
    assert "other lists, settings or missing images" in fault


def test_cells_that_cannot_be_compared_are_counted_with_the_reason(yaml, tmp_path):
    old = store_row(tmp_path / "results", row_cell(dataset="own"))  # of a release that kept no pixels
    changed = store_row(tmp_path / "results", row_cell(dataset="own", preset="smoke~whole"))
    other = store_row(tmp_path / "results", row_cell(dataset="toy"))
    found = check_data([old, changed, other], str(yaml), None)
    assert (found.compared, found.faults) == (0, ())
    assert sorted(found.left) == [
        "1 cells of smoke: computed before pixels were kept",
        "1 cells of smoke~whole: the sizes of their data are not kept",
    ]


def test_the_command_compares_and_ends_with_1(yaml, tmp_path, capsys):
    cell_of(yaml, tmp_path / "results")
    places = ["--results", str(tmp_path / "results"), "--leaderboards", str(tmp_path / "boards")]
    main(["evaluate", *places])
    capsys.readouterr()
    assert main(["verify", *places, "--dataset", str(yaml)]) == 0
    assert capsys.readouterr().out == "1 cells are of the data at hand\n1 cells checked, 0 faults\n"
    change(yaml)
    assert main(["verify", *places, "--dataset", str(yaml)]) == 1
    assert "other pixels or labels" in capsys.readouterr().out
    assert main(["verify", *places]) == 0  # without the data, the cell is sound


def test_a_root_without_a_data_set_is_refused(tmp_path):
    with refused("add --dataset"):
        main(["verify", "--data-root", str(tmp_path)])
