"""Cosines between the views of a method, and the command that compares rows."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from benchmark.commands import run, run_all
from benchmark.commands import similarity as similarity_command
from benchmark.commands.main import main
from benchmark.studies.similarity import Similarity, of_class, similarity_table, view_similarity
from methods.core.networks.augmentation_model import AugmentationModel
from tests.benchmark.toy import ToyRequest, refused
from tests.methods.data import fit, textures


def small(key, **overrides):
    settings = {"rounds": 3, "steps_per_round": 2, "width": 4, **overrides}
    return fit(key, textures(3, 4, 32), textures(3, 2, 32, seed=1), overrides=settings)


@pytest.fixture
def pose(monkeypatch):
    monkeypatch.undo()  # the repository's own plugins
    return small("pose")


def test_equal_augmentation_models_are_perfectly_alike_and_cosines_are_those_of_mean_features(pose):
    images = textures(3, 5, 32, seed=2)
    torch.manual_seed(0)
    other, shape = AugmentationModel(), {"layers": 2, "kernel": 3, "hidden": 32, "activation": "none"}
    twin = AugmentationModel()
    twin.load_state_dict(pose.old[0].state_dict())
    pose.old.append(twin, shape)
    pose.old.append(other, shape)
    names, cosines = view_similarity(pose, images)
    assert names == tuple(f"augmented by AM {number}" for number in range(5))
    assert cosines.shape == (5, 5)
    np.testing.assert_allclose(np.diag(cosines), 1)
    np.testing.assert_allclose(cosines, cosines.T)
    assert cosines[0, 3] == pytest.approx(1)
    with torch.inference_mode():
        pixels = torch.cat(list(pose.views(images)["augmented by AM 4"]))
        last = pose.net(pixels)[1].double().mean(dim=0).numpy()
        first = pose.net(torch.cat(list(pose.views(images)["augmented by AM 0"])))[1].double().mean(dim=0).numpy()
    assert cosines[0, 4] == pytest.approx(first @ last / np.linalg.norm(first) / np.linalg.norm(last), abs=1e-5)


def test_the_figure_of_a_matrix_leaves_out_its_diagonal():
    cosines = np.array([[1, 0.5, 0.3], [0.5, 1, 0.1], [0.3, 0.1, 1]])
    assert Similarity("a", "A", "split1", 0, ("x", "y", "z"), cosines).between == pytest.approx(0.3)


def test_a_row_of_the_table_is_the_mean_over_cells():
    def cell(title, value, split="split1"):
        return Similarity(title, title, split, 0, ("x", "y"), np.array([[1, value], [value, 1]]))

    lines = similarity_table([cell("A", 0.8), cell("A", 0.6, "split2"), cell("B", 0.9)]).splitlines()
    rows = [[word.strip() for word in line.strip("|").split("|")] for line in lines[2:]]
    assert rows == [["A", "2", "0.700 ± 0.141", "2"], ["B", "2", "0.900", "1"]]


def test_images_of_one_class_are_chosen_by_its_name():
    images = textures(3, 4, 32)
    assert set(of_class(images, images.classes[1]).labels.tolist()) == {1}
    assert len(of_class(images, None)) == 12
    with refused("--class nobody: no such known class; there are real, generator-1"):
        of_class(images, "nobody")


def test_the_command_compares_rows_with_and_without_the_diversity_loss(monkeypatch, tmp_path, capsys):
    monkeypatch.undo()
    monkeypatch.setattr(run, "DataRequest", ToyRequest)
    monkeypatch.setattr(similarity_command, "DataRequest", ToyRequest)
    results, boards = tmp_path / "results", tmp_path / "boards"
    places = ["--results", str(results), "--leaderboards", str(boards)]
    words = ["--methods", "base,base_am,pose", "--splits", "1", "--preset", "smoke", "--jobs", "1"]
    assert run_all.main([*words, *places]) == 0
    out = tmp_path / "matrices"
    assert main(["similarity", "--preset", "smoke", "--out", str(out), *places]) == 0
    table = capsys.readouterr().out
    assert "Base+AM" in table
    assert "POSE" in table
    names = {path.name for path in out.iterdir()}
    assert names == {"base_am-split1-seed0.csv", "pose-split1-seed0.csv", "similarity.png"}
    with (out / "pose-split1-seed0.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][1:] == ["augmented by AM 0", "augmented by AM 1"]
    assert float(rows[1][1]) == pytest.approx(1)
    with refused("has two views"):
        main(["similarity", "--preset", "smoke", "--methods", "base", "--out", str(out), *places])
