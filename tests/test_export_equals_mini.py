"""The embedded data set gives the same results from the cache and from the files of an export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main
from datasets.cache import ENVIRONMENT
from datasets.commands import main as datasets_main

SIZES = {"image_size": 32, "train_per_class": 3, "val_per_class": 2, "test_per_class": 2}


@pytest.mark.slow
def test_a_cell_on_an_export_equals_the_cell_on_mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "cache"))
    root, results = tmp_path / "export", tmp_path / "results"
    options = [text for name, value in SIZES.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    assert datasets_main(["export", "--to", str(root), *options]) == 0

    changes = [text for name, value in SIZES.items() for text in ("--set", f"data.{name}={value}")]
    words = ["--methods", "base", "--splits", "1", "--preset", "smoke", "--variant", "tiny", *changes]
    words += ["--set", "run.max_steps=4", "--jobs", "1", "--device", "cpu"]
    words += ["--results", str(results), "--leaderboards", str(tmp_path / "boards")]
    assert main(words) == 0
    assert main([*words, "--dataset", "osma", "--data-root", str(root)]) == 0

    mini, osma = (next((results / name).rglob("evaluation.json")).parent for name in ("mini", "osma"))
    assert json.loads((mini / "evaluation.json").read_text()) == json.loads((osma / "evaluation.json").read_text())
    for file in ("scores.npz", "features.npz"):
        with np.load(mini / file) as before, np.load(osma / file) as after:
            assert all(np.array_equal(before[name], after[name]) for name in before.files)
