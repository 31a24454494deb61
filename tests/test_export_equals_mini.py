"""The embedded data set gives the same results from the cache and from the files of an export."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from benchmark.commands.main import main as benchmark_main
from benchmark.commands.run_all import main
from datasets.commands.main import main as datasets_main
from datasets.pixels.cache import ENVIRONMENT

SIZES = {"image_size": 32, "train_per_class": 3, "val_per_class": 2, "test_per_class": 2}
FEW_STEPS = ("--variant", "tiny", "--set", "run.max_steps=4")
WHOLE = ("--variant", "whole")  # the preset smoke but for the sizes
PARTS = ("val", "known", "seed", "arch", "dataset")  # as predictions.npz numbers them
ACCEPTED = 0.95  # share of the validation images that the threshold accepts

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("export")]


class Made(NamedTuple):
    """An export, and results of runs on the data set that it was made of."""

    root: Path
    results: Path

    def run_all(self, *words: str) -> int:
        changes = [text for name, value in SIZES.items() for text in ("--set", f"data.{name}={value}")]
        fixed = ["--splits", "1", "--preset", "smoke", *changes, "--jobs", "1", "--device", "cpu"]
        folders = ["--results", str(self.results), "--leaderboards", str(self.results.with_name("boards"))]
        return main([*words, *fixed, *folders])

    def cell(self, dataset: str, preset: str, method: str) -> Path:
        return self.results / dataset / f"smoke~{preset}" / method / "split1-seed0"

    def lines(self, name: str) -> dict[str, int]:
        """The paths of an annotation file of split 1 below OSMA/, with their labels."""
        text = (self.root / "split1_test" / "annotations" / f"split1_{name}.txt").read_text()
        pairs = (line.removeprefix("./dataset/OSMA/").rsplit("\t", 1) for line in text.splitlines())
        return {path: int(label) for path, label in pairs}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("export")
    options = [text for name, value in SIZES.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(folder / "cache"))
        assert datasets_main(["export", "--to", str(folder / "files"), *options]) == 0
        yield Made(folder / "files", folder / "results")


def test_a_cell_on_an_export_equals_the_cell_on_mini(made: Made) -> None:
    assert made.run_all("--methods", "base", *FEW_STEPS) == 0
    assert made.run_all("--methods", "base", *FEW_STEPS, "--dataset", "osma", "--data-root", str(made.root)) == 0
    mini, osma = (made.cell(name, "tiny", "base") for name in ("mini", "osma"))
    assert json.loads((mini / "evaluation.json").read_text()) == json.loads((osma / "evaluation.json").read_text())
    for file in ("scores.npz", "features.npz"):
        with np.load(mini / file) as before, np.load(osma / file) as after:
            assert all(np.array_equal(before[name], after[name]) for name in before.files)


@pytest.mark.parametrize("part", ["known", "seed", "arch", "dataset"])
def test_prediction_of_exported_images_is_exactly_what_the_cell_stored(made: Made, tmp_path: Path, part: str) -> None:
    """The cell saw the embedded images, the prediction sees their files in the order of their names."""
    assert made.run_all("--methods", "pose", *WHOLE) == 0  # computed for the first part alone
    lines = made.lines("test" if part == "known" else f"test_out_{part}")
    for name in lines:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made.root / "OSMA" / name, tmp_path / "images" / name)
    cell = ["--method", "pose", "--preset", "smoke~whole", "--results", str(made.results), "--device", "cpu"]
    files = ["--images", str(tmp_path / "images"), "--out", str(tmp_path / "out.csv")]
    assert benchmark_main(["predict", *cell, *files]) == 0

    folder = made.cell("mini", "whole", "pose")
    known = json.loads((folder / "cell.json").read_text())["data"]["known"]
    with np.load(folder / "predictions.npz") as stored:
        mine = stored["part"] == PARTS.index(part)
        assert stored["label"][mine].tolist() == list(lines.values())  # the export keeps the order of the images
        predicted, confidence = stored["predicted"][mine], stored["confidence"][mine]
        val = np.sort(stored["confidence"][stored["part"] == PARTS.index("val")])
    assert len(set(confidence)) > len(confidence) / 2
    threshold = val[len(val) - int(np.ceil(ACCEPTED * len(val)))]

    table = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False).set_index("path").loc[list(lines)]
    assert table["class"].tolist() == [known[label] for label in predicted]
    assert [float(text).hex() for text in table["confidence"]] == [value.hex() for value in confidence.tolist()]
    assert table["confidence"].tolist() == [repr(value) for value in confidence.tolist()]
    assert table["known"].tolist() == [str(value >= threshold).lower() for value in confidence.tolist()]
