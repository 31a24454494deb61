"""Saving and loading a fitted method: plain files, and a refusal of what was fitted by something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from datasets.errors import UserError
from datasets.types import ImageSet
from methods.core.method import Method, NotFitted, Prediction, Task
from methods.core.settings import Settings
from tests.methods.data import make_run, textures


class MeanConfig(Settings):
    scale: float = 1.0


class Mean(Method):
    """Classes by their mean brightness."""

    kind, title, paper, name, Config = "attribution", "Mean", "none", "mean", MeanConfig

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        self.task = Task.of(train)
        levels = self.levels(train)
        self.means = np.array([levels[train.labels == k].mean() for k in range(self.task.num_classes)])

    def levels(self, images: ImageSet) -> np.ndarray:
        return self.config.scale * images.batch(slice(None)).mean(axis=(1, 2, 3))

    def predict(self, images: ImageSet) -> Prediction:
        scores = -np.abs(self.levels(images)[:, None] - self.means)
        return Prediction(scores, scores.max(axis=1), scores.astype(np.float32))

    def state(self) -> Any:
        return {"means": self.means}

    def restore(self, state: Any) -> None:
        self.means = state["means"]


class Newer(Mean):
    version = 2


class Other(Mean):
    name = "other"


@pytest.fixture
def fitted(tmp_path: Path) -> Mean:
    images = textures(3, 2, 16)
    method = Mean(MeanConfig(scale=2.0), make_run())
    method.fit(images, images)
    method.save(tmp_path / "deep" / "folder")
    return method


def test_a_loaded_method_has_settings_task_and_state_of_the_saved_one(fitted: Mean, tmp_path: Path) -> None:
    loaded = Mean.load(tmp_path / "deep" / "folder", make_run())
    assert loaded.config == MeanConfig(scale=2.0)
    assert loaded.task == Task(("real", "generator-1", "generator-2"), 16)
    assert (loaded.means == fitted.means).all()


def test_what_is_on_disk_can_be_read_by_a_person(fitted: Mean, tmp_path: Path) -> None:
    facts = json.loads((tmp_path / "deep" / "folder" / "method.json").read_text(encoding="utf-8"))
    assert (facts["method"], facts["version"], facts["config"]) == ("mean", 1, {"scale": 2.0})
    assert facts["task"] == {"classes": ["real", "generator-1", "generator-2"], "image_size": 16}


@pytest.mark.parametrize(("reader", "wanted"), [(Newer, "mean version 2"), (Other, "other version 1")])
def test_the_state_of_another_method_or_version_is_refused_in_one_line(
    fitted: Mean, tmp_path: Path, reader: type[Mean], wanted: str
) -> None:
    with pytest.raises(UserError, match=rf"holds mean version 1, not {wanted}; make it again") as error:
        reader.load(tmp_path / "deep" / "folder", make_run())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"\xff" * 20),
        ("model.safetensors", b""),
        ("model.safetensors", None),
        ("method.json", b"{"),
        ("method.json", b"{}"),
        ("method.json", b"\xff"),
        ("method.json", b'{"method": "mean", "version": 1, "config": {"scale": "two"}, "task": null}'),
        ("method.json", None),
    ],
)
def test_a_file_that_is_missing_or_damaged_is_a_users_matter_of_one_line(
    fitted: Mean, tmp_path: Path, file: str, content: bytes | None
) -> None:
    folder = tmp_path / "deep" / "folder"
    (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
    with pytest.raises(UserError, match=r"^the model in .+folder cannot be loaded \(.+\); make it again$") as error:
        Mean.load(folder, make_run())
    assert "\n" not in str(error.value)


def test_tensors_that_are_no_stored_state_are_refused(fitted: Mean, tmp_path: Path) -> None:
    save_file({"means": torch.zeros(3)}, tmp_path / "deep" / "folder" / "model.safetensors")
    with pytest.raises(UserError, match="has no outline of a stored state"):
        Mean.load(tmp_path / "deep" / "folder", make_run())


class Faulty(Mean):
    def restore(self, state: Any) -> None:
        raise RuntimeError("a mistake in the plugin")


def test_a_mistake_in_restore_keeps_its_traceback(fitted: Mean, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a mistake in the plugin"):
        Faulty.load(tmp_path / "deep" / "folder", make_run())


def test_what_a_method_cannot_do_without_is_named_until_it_is_there(fitted: Mean) -> None:
    fitted.require("task", "means")
    fresh = Mean(MeanConfig(), make_run())
    with pytest.raises(NotFitted, match="Mean has no means yet"):
        fresh.require("means")
