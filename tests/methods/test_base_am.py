"""Base+AM: POSE with both weights of the diversity loss at zero."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from methods.base_am import BaseAmConfig
from methods.core.networks.augmentation_model import AugmentationModel
from methods.pose import PoseConfig
from tests.methods.data import fit, registry, textures
from tests.methods.states import differences

SMALL: dict[str, Any] = {"width": 2, "epochs": 3, "steps_per_epoch": 2, "batch_size": 2, "freeze_after_steps": 2}


@pytest.fixture(scope="module")
def images() -> Any:
    return textures(3, 6, 32, seed=0), textures(3, 4, 32, seed=1)


def test_only_the_weights_of_the_diversity_loss_differ_from_pose() -> None:
    off = {"close_weight": 0.0, "push_weight": 0.0}
    assert BaseAmConfig().model_dump() == PoseConfig().model_dump() | off
    for preset in ("smoke", "quick", "standard"):
        ours, theirs = (registry().choose(name).config(preset).model_dump() for name in ("base_am", "pose"))
        assert ours == theirs | off


@pytest.mark.parametrize("forwards", ["official", "needed"])
def test_it_is_pose_with_zero_weights(images: Any, forwards: str) -> None:
    settings = SMALL | {"first_epoch_forwards": forwards}
    ours = fit("base_am", *images, overrides=settings)
    theirs = fit("pose", *images, overrides=settings | {"close_weight": 0.0, "push_weight": 0.0})
    assert differences(ours.state(), theirs.state()) == []


def test_the_diversity_loss_would_make_a_difference(images: Any) -> None:
    ours, pose = (fit(name, *images, overrides=SMALL) for name in ("base_am", "pose"))
    assert differences(ours.state()["old"], pose.state()["old"]) != []


def test_augmentation_models_learn_to_reconstruct_and_nothing_else(images: Any) -> None:
    rows = fit("base_am", *images, overrides=SMALL | {"steps_per_epoch": 20, "epochs": 2}).run.history.rows
    assert [{"close", "push"} & set(row) for row in rows] == [set(), set()]
    assert {"reconstruction", "cls", "metric_new", "metric_old"} <= set(rows[1])


def test_a_frozen_step_costs_three_forwards_once_an_old_model_exists(images: Any) -> None:
    calls: list[int] = []
    counted = fit("base_am", *images, overrides=SMALL | {"epochs": 1})
    counted.net.register_forward_hook(lambda *call: calls.append(1))
    counted.new = AugmentationModel()
    counted.new_optim = torch.optim.Adam(counted.new.parameters())
    counted.set_mode(step=3)  # past the freeze
    counted.train_step(next(iter(counted.batches(images[0]).epoch(0))))
    assert len(calls) == 3  # clean, augmented by the new and by an old model
