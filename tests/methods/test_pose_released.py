"""POSE and Base+AM from files in the form in which the authors released theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets.errors import UserError
from methods.core.method import Task
from methods.core.networks.augmentation_model import AugmentationModel
from methods.core.networks.simple_cnn import SimpleCnn
from tests.methods.data import make_run, registry, textures

NARROW = {"width": 2}
CLASSES, SIDE = 3, 32


def saved(network: torch.nn.Module, path: Path, prefix: str = "") -> dict[str, Tensor]:
    """Write a network as the official trainer does; its weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
    named = {f"{prefix}{name}": value for name, value in weights.items()}
    torch.save({"epoch": 19, "model": "Simple_CNN", "state_dict": named}, path)
    return weights


def random_network(width: int, seed: int) -> SimpleCnn:
    """A network whose statistics are not those of a fresh one."""
    with make_run().seeded("released", seed):
        network = SimpleCnn(CLASSES, SIDE, width)
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.copy_(1e4 * torch.rand_like(buffer) + 1)
    return network.eval()


def release(folder: Path, models: Sequence[int] = (5, 10, 15, 20), course: str = "models") -> None:
    """A small release of split 1: the classifier, augmentation models and snapshots."""
    saved(random_network(2, 0), folder / "split1/model.pth")
    for number in range(12):  # in the order of names, 10 would come before 2
        with make_run().seeded("augnet", number):
            saved(AugmentationModel(), folder / f"split1/{course}/augnet_{number}.pth")
    for number in models:
        saved(random_network(2, number), folder / f"split1/{course}/model_epoch{number}.pth")


def taken(folder: Path, key: str = "pose", side: int = SIDE, **overrides: Any) -> Any:
    choice = registry().choose(key)
    method: Any = choice.plugin(choice.config("paper", overrides), make_run())
    method.take_released(folder, "split1", Task(("real", "a", "b"), side))
    return method


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        taken(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_scores_are_those_of_the_released_network_at_full_width(tmp_path: Path, prefix: str) -> None:
    network = random_network(64, 0)
    saved(network, tmp_path / "split1/model.pth", prefix)
    images = textures(CLASSES, 2, SIDE)
    pixels = torch.from_numpy(images.batch(slice(None))).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        logits, features = network((pixels / 255 - 0.5) / 0.5)
    prediction = taken(tmp_path).predict(images)
    assert np.allclose(prediction.scores, logits.softmax(dim=1).numpy(), rtol=1e-3, atol=1e-5)
    assert np.allclose(prediction.confidence, prediction.scores.max(axis=1))
    assert np.allclose(prediction.features, features.numpy(), rtol=1e-3, atol=1e-3)


def test_augmentation_models_and_snapshots_come_along_in_their_order(tmp_path: Path) -> None:
    release(tmp_path)
    method = taken(tmp_path, **NARROW)
    assert len(method.old) == 12
    for number in range(12):
        with make_run().seeded("augnet", number):
            expected = AugmentationModel()
        assert torch.equal(method.old[number].get_submodule("conv1").weight, expected.get_submodule("conv1").weight)
    assert list(method.snapshots) == ["epoch5", "epoch10", "epoch15", "epoch20"]
    for number in (5, 20):
        expected_weights = random_network(2, number).state_dict()
        assert torch.equal(method.snapshots[f"epoch{number}"]["fc.weight"], expected_weights["fc.weight"])
    assert len(method.views(textures(CLASSES, 1, SIDE))) == 12


def test_what_was_taken_is_kept(tmp_path: Path) -> None:
    release(tmp_path / "release")
    method, images = taken(tmp_path / "release", **NARROW), textures(CLASSES, 2, SIDE)
    method.save(tmp_path / "model")
    again = type(method).load(tmp_path / "model", make_run())
    assert np.array_equal(again.predict(images).scores, method.predict(images).scores)
    assert (len(again.old), list(again.snapshots)) == (12, list(method.snapshots))


def test_base_am_takes_the_last_network_that_was_trained_without_the_diversity_loss(tmp_path: Path) -> None:
    release(tmp_path, course="models_wo_div")
    method = taken(tmp_path, "base_am", **NARROW)
    assert torch.equal(method.net.fc.weight, random_network(2, 20).fc.weight)
    assert len(method.old) == 12


def test_the_files_that_decide_are_named(tmp_path: Path) -> None:
    release(tmp_path, models=(5,))
    release(tmp_path, models=(20,), course="models_wo_div")
    (tmp_path / "split1/models/notes.txt").touch()
    plugins: Any = registry()
    files = {
        name: [
            path.relative_to(tmp_path / "split1").as_posix()
            for path in plugins[name].released_files(tmp_path, "split1")
        ]
        for name in ("pose", "base_am")
    }
    course = [f"models/augnet_{number}.pth" for number in range(12)]
    assert files["pose"] == ["model.pth", *course, "models/model_epoch5.pth"]
    course = [f"models_wo_div/augnet_{number}.pth" for number in range(12)]
    assert files["base_am"] == ["models_wo_div/model_epoch20.pth", *course]


def test_a_split_without_released_weights_is_refused(tmp_path: Path) -> None:
    release(tmp_path)
    plugin: Any = registry()["pose"]
    with pytest.raises(UserError, match=r"split3/model\.pth.*--splits"):
        plugin.released_files(tmp_path, "split3")


def test_weights_of_another_width_size_or_number_of_classes_are_refused(tmp_path: Path) -> None:
    release(tmp_path)
    assert "'main.0.main.0.weight' is 2 x 3 x 4 x 4, here it is 64 x 3 x 4 x 4" in refusal(tmp_path)
    assert "'fc.weight' is 16 x 64, here it is 16 x 256" in refusal(tmp_path, side=64, **NARROW)
    method: Any = registry()["pose"]
    method = method(registry().choose("pose").config("paper", NARROW), make_run())
    with pytest.raises(UserError, match=r"'classification_head\.1\.weight' is 3 x 16, here it is 2 x 16"):
        method.take_released(tmp_path, "split1", Task(("real", "a"), SIDE))


def test_augmentation_models_of_another_shape_are_refused(tmp_path: Path) -> None:
    release(tmp_path)
    saved(AugmentationModel(hidden=8), tmp_path / "split1/models/augnet_3.pth")
    assert "augnet_3.pth is of another network" in refusal(tmp_path, **NARROW)


def test_a_gap_among_the_augmentation_models_is_refused(tmp_path: Path) -> None:
    release(tmp_path)
    (tmp_path / "split1/models/augnet_4.pth").unlink()
    assert "augnet_4.pth" in refusal(tmp_path, **NARROW)
