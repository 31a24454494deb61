"""POSE: published settings, a whole training against a slow restatement of the official one, each loss by itself."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods.core.batches import Batch
from methods.core.networks.augmentation_model import AugmentationModel
from methods.pose import Pose, PoseConfig
from tests.methods.data import accuracy, fit, make_run, textures, unfitted
from tests.methods.official_pose import CLASSES, OFFICIAL, Official, descent
from tests.methods.states import differences, duplicate


@pytest.fixture(scope="module")
def images() -> Any:
    return textures(CLASSES, 6, 32, seed=0), textures(CLASSES, 4, 32, seed=1)


@pytest.fixture(scope="module")
def trained(images: Any) -> Any:
    return small(images)


def small(images: Any, key: str = "pose", **overrides: Any) -> Any:
    return fit(key, *images, overrides=OFFICIAL | overrides)


def begun(images: Any, old: int = 0, **overrides: Any) -> tuple[Any, Batch]:
    """A method in the middle of an epoch, with some old augmentation models, and a batch."""
    method = unfitted("pose", make_run(), overrides=OFFICIAL | overrides)
    method.prepare_fit(images[0])
    with method.run.seeded("test"):
        for _ in range(old):
            method.old.append(AugmentationModel(), {})
        method.new = AugmentationModel()
    method.new_optim = torch.optim.Adam(method.new.parameters(), lr=1e-2)
    method.new_sched = torch.optim.lr_scheduler.StepLR(method.new_optim, 1)
    method.draw = method.run.numpy_generator("draw")
    return method, next(iter(method.batches(images[0]).epoch(0)))


def models(method: Any) -> list[AugmentationModel]:
    return [method.old[position] for position in range(len(method.old))]


# -- settings ----------------------------------------------------------------------------------------


def test_the_defaults_are_the_values_of_the_official_configuration() -> None:
    config = PoseConfig()
    assert (config.learning_rate, config.batch_size, config.epochs) == (1e-4, 8, 20)
    assert (config.steps_per_epoch, config.freeze_after_steps, config.first_epoch_forwards) == (509, 509, "official")
    assert (config.decay_factor, config.decay_steps, config.recalibrate_before_freeze) == (0.9, 500, False)
    assert (config.am_learning_rate, config.am_layers, config.am_kernel, config.am_hidden) == (1e-2, 2, 3, 32)
    assert (config.am_activation, config.clip_augmented, config.reconstruction_floor) == ("none", False, 0)
    assert (config.close_weight, config.close_margin, config.close_margin_on) == (1e-2, 0.95, "batch")
    assert (config.push_weight, config.old_models, config.triplet_margin) == (1e-4, "one", 0.3)
    assert (config.classification, config.feature_tap, config.keep) == ("double_softmax", "post_dropout", "last")
    assert config.snapshots == (5, 10, 15, 20)


# -- a whole training against the official one, restated ----------------------------------------------


@pytest.fixture(scope="module")
def official(images: Any) -> Official:
    return Official(images[0]).fit()


@pytest.fixture(scope="module")
def descended(images: Any) -> Any:
    """`Pose` with the restatement's optimiser."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pose, "optimiser", lambda self: descent(self.net))
        return small(images)


def test_every_loss_term_of_every_epoch_is_that_of_the_official_training(official: Official, descended: Any) -> None:
    for epoch, row in enumerate(descended.run.history.rows):
        terms = official.terms[3 * epoch : 3 * epoch + 3]
        expected = {name: np.mean([step[name] for step in terms]) for name in terms[0]}
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-4)
        assert ("metric_old" in row, "close" in row, "push" in row) == (epoch > 0,) * 3


@pytest.mark.parametrize("epoch", [1, 3])
def test_weights_and_batch_statistics_are_those_of_the_official_training(
    official: Official, descended: Any, epoch: int
) -> None:
    """Epoch 1: statistics of four forwards per step. Epoch 3: the shared forward of frozen epochs changes nothing."""
    expected = official.snapshots[f"epoch{epoch}"]
    assert expected["main.0.main.1.num_batches_tracked"].item() == 3 * 4
    for name, value in descended.snapshots[f"epoch{epoch}"].items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5, msg=name)


def test_augmentation_models_are_those_of_the_official_training(official: Official, descended: Any) -> None:
    assert len(descended.old) == len(official.old) == 3
    for found, expected in zip(models(descended), official.old, strict=True):
        for name, value in found.state_dict().items():
            torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-3, atol=1e-5, msg=name)


def test_sharing_the_clean_forward_of_frozen_epochs_gives_the_weights_of_separate_forwards(
    images: Any, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def separately(part: Any) -> Any:
        return lambda self, batch, shared: part(self, batch, None)

    monkeypatch.setattr(Pose, "augmentation_terms", separately(Pose.augmentation_terms))
    monkeypatch.setattr(Pose, "task_terms", separately(Pose.task_terms))
    separate = small(images)
    for name, value in separate.net.state_dict().items():
        torch.testing.assert_close(trained.net.state_dict()[name], value, rtol=1e-6, atol=1e-6, msg=name)


# -- order of work -----------------------------------------------------------------------------------


def test_each_step_moves_its_own_network_and_no_other(images: Any) -> None:
    method, batch = begun(images, old=1, freeze_after_steps=0)
    method.set_mode(step=1)
    classifier, new, old = (duplicate(part.state_dict()) for part in (method.net, method.new, method.old[0]))
    sum(method.augmentation_terms(batch, None).values()).backward()
    assert all(weight.grad is None for weight in method.net.parameters())
    assert all(weight.grad is not None for weight in method.new.parameters())
    method.new_optim.step()
    assert differences(classifier, method.net.state_dict()) == []
    assert len(differences(new, method.new.state_dict())) == 4

    method.new.zero_grad(set_to_none=True)
    new = duplicate(method.new.state_dict())
    sum(method.task_terms(batch, None).values()).backward()
    assert all(weight.grad is None for weight in chain(method.new.parameters(), method.old[0].parameters()))
    assert all(weight.grad is not None for weight in method.net.parameters())
    method.optim.step()
    assert differences(new, method.new.state_dict()) == []
    assert differences(old, method.old[0].state_dict()) == []


def test_the_classifier_can_learn_again_after_the_step_of_the_augmentation_model(images: Any) -> None:
    method, batch = begun(images)
    method.train_step(batch)
    assert all(weight.requires_grad for weight in method.net.parameters())


@pytest.mark.parametrize(("forwards", "old", "training", "expected"), [
    ("official", 0, True, 4), ("official", 1, True, 6), ("needed", 0, True, 2), ("needed", 1, True, 6),
    ("official", 0, False, 2), ("official", 1, False, 5),
])  # fmt: skip
def test_a_step_costs_the_declared_number_of_forwards(
    images: Any, forwards: str, old: int, training: bool, expected: int
) -> None:
    method, batch = begun(images, old, first_epoch_forwards=forwards, freeze_after_steps=None if training else 0)
    calls: list[bool] = []
    method.net.register_forward_hook(lambda *call: calls.append(True))
    method.set_mode(step=1)
    method.train_step(batch)
    assert len(calls) == expected
    assert method.net.main[0].main[1].num_batches_tracked.item() == (expected if training else 0)


def test_statistics_move_until_the_freeze_and_never_again(images: Any, trained: Any) -> None:
    first, last = (trained.snapshots[f"epoch{epoch}"] for epoch in (1, 3))
    moved = [name for name in first if not torch.equal(first[name], last[name])]
    assert not any("running" in name or "tracked" in name for name in moved)
    assert {name for name in first if "main.1.weight" in name} <= set(moved)


def test_without_a_freeze_statistics_move_in_every_round(images: Any) -> None:
    method = small(images, freeze_after_steps=None)
    first, last = (method.snapshots[f"epoch{epoch}"] for epoch in (1, 3))
    assert not torch.equal(first["main.0.main.1.running_mean"], last["main.0.main.1.running_mean"])


@pytest.mark.parametrize("freeze", [2, 3, 5])
def test_statistics_are_those_of_clean_images_once_they_are_recalibrated(images: Any, freeze: int) -> None:
    seen: list[tuple[int, bool]] = []

    class Watched(Pose):
        def train_step(self, batch: Batch) -> None:
            seen.append((int(self.net.state_dict()["main.0.main.1.num_batches_tracked"]), self.net.training))
            super().train_step(batch)

    choice = unfitted("pose", make_run(), overrides=OFFICIAL | {"recalibrate_before_freeze": True})
    method = Watched(choice.config.model_copy(update={"freeze_after_steps": freeze}), make_run())
    method.fit(*images)
    assert [training for _, training in seen] == [True] * freeze + [False] * (9 - freeze)
    assert {tracked for tracked, training in seen if not training} == {len(method.calibration)}


def test_the_new_model_starts_each_epoch_at_the_full_rate_and_the_classifier_goes_on(trained: Any) -> None:
    assert trained.new_optim.param_groups[0]["lr"] == pytest.approx(1e-2 * 0.9 ** (3 // 2))
    rate = trained.config.learning_rate
    assert trained.optim.param_groups[0]["lr"] == pytest.approx(rate * 0.9 ** (9 // 2))


# -- the diversity loss ------------------------------------------------------------------------------


def with_cosines(*values: float) -> tuple[Tensor, Tensor]:
    """Pairs of vectors with the given cosines; the second may learn."""
    angles = torch.tensor([math.acos(value) for value in values])
    turned = torch.stack([angles.cos(), angles.sin()], dim=1)
    return torch.tensor([[2.0, 0.0]]).expand(len(values), 2), (3 * turned).requires_grad_()


@pytest.mark.parametrize(
    ("cosines", "per", "expected", "pulled"),
    [
        ((0.97,), "batch", 0.05, [False]),
        ((0.90,), "batch", 0.10, [True]),
        ((0.99, 0.93), "batch", 0.05, [False, False]),  # the mean is 0.96
        ((0.99, 0.85), "batch", 0.08, [True, True]),
        ((0.99, 0.85), "sample", 0.10, [False, True]),  # (0.05 + 0.15) / 2
    ],
)
def test_the_pull_towards_known_data_ends_at_the_margin(
    images: Any, cosines: tuple[float, ...], per: str, expected: float, pulled: list[bool]
) -> None:
    method, _ = begun(images, close_margin_on=per)
    clean, new = with_cosines(*cosines)
    gap = method.closeness_gap(clean, new)
    gap.backward()
    assert gap.item() == pytest.approx(expected, abs=1e-6)
    assert new.grad is not None
    assert (new.grad.abs().sum(dim=1) > 0).tolist() == pulled


def test_without_an_old_model_there_is_no_diversity_loss(images: Any) -> None:
    method, batch = begun(images)
    assert set(method.augmentation_terms(batch, None)) == {"reconstruction"}
    assert set(method.task_terms(batch, None)) == {"cls", "metric_new"}


def test_the_reconstruction_loss_stops_at_its_floor(images: Any) -> None:
    method, batch = begun(images, reconstruction_floor=50.0)
    term = method.augmentation_terms(batch, None)["reconstruction"]
    term.backward()
    assert term.item() == 50
    assert all(not weight.grad.any() for weight in method.new.parameters())


def test_augmented_images_are_clipped_only_on_demand(images: Any) -> None:
    bright = 2 * torch.ones(1, 3, 16, 16)
    for clip, most in ((False, 2), (True, 1)):
        method, _ = begun(images, clip_augmented=clip)
        assert method.augment(nn.Identity(), bright).max() == most


def test_one_old_model_is_drawn_anew_each_time_and_each_is_as_likely(images: Any) -> None:
    method, _ = begun(images, old=4)
    drawn = [method.drawn_models() for _ in range(2000)]
    assert {len(chosen) for chosen in drawn} == {1}
    times = np.bincount([models(method).index(chosen[0]) for chosen in drawn], minlength=4)
    assert ((times - 500) ** 2 / 500).sum() < 16.3  # chi-square, 3 degrees of freedom, p = 0.001


def test_all_old_models_can_take_part(images: Any) -> None:
    method, batch = begun(images, old=3, old_models="all", freeze_after_steps=0)
    method.set_mode(step=1)
    assert method.drawn_models() == models(method)
    found = method.task_terms(batch, None)["metric_old"].item()
    each = [method.metric_loss(method.net(batch.images)[1], model, batch).item() for model in models(method)]
    assert found == pytest.approx(np.mean(each), rel=1e-5)


# -- what it keeps and hands out ----------------------------------------------------------------------


def test_models_and_snapshots_come_back_from_disk(images: Any, trained: Any, tmp_path: Path) -> None:
    trained.save(tmp_path)
    loaded = Pose.load(tmp_path, make_run())
    assert set(loaded.snapshots) == {"epoch1", "epoch3"}
    assert len(loaded.old) == 3
    assert differences(trained.state(), loaded.state()) == []
    assert not any(weight.requires_grad for model in models(loaded) for weight in model.parameters())


def test_the_snapshot_of_the_last_epoch_is_the_network(trained: Any) -> None:
    assert differences(trained.snapshots["epoch3"], dict(trained.net.state_dict())) == []
    assert differences(trained.snapshots["epoch1"], trained.snapshots["epoch3"]) != []


def test_models_and_snapshots_survive_an_interruption(images: Any, trained: Any, tmp_path: Path) -> None:
    def stop(stage: str, epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    settings: dict[str, Any] = {"overrides": OFFICIAL, "tmp": tmp_path, "save_every_seconds": 0}
    with pytest.raises(KeyboardInterrupt):
        fit("pose", *images, on_epoch=stop, **settings)
    resumed = fit("pose", *images, **settings)
    assert differences(trained.state(), resumed.state()) == []


def test_views_show_images_as_every_model_changes_them(images: Any, trained: Any) -> None:
    val = images[1]
    views = trained.views(val)
    assert list(views) == ["augmented by AM 0", "augmented by AM 1", "augmented by AM 2"]
    x = torch.from_numpy(val.batch(slice(None))).permute(0, 3, 1, 2).float() / 127.5 - 1
    for model, batches in zip(models(trained), views.values(), strict=True):
        torch.testing.assert_close(torch.cat(list(batches)), model(x), rtol=1e-4, atol=1e-5)


def test_inference_uses_the_classifier_alone(images: Any, trained: Any) -> None:
    before = trained.predict(images[1])
    assert trained.trainable() == sum(weight.numel() for weight in trained.net.parameters())
    other = unfitted("pose", make_run(), overrides=OFFICIAL)
    other.task = trained.task
    other.restore({**duplicate(trained.state()), "old": {"shape": {}, "models": []}, "snapshots": {}})
    assert (other.predict(images[1]).scores == before.scores).all()


def test_training_at_the_smoke_preset_separates_textures() -> None:
    train, val = textures(4, 16, 32, seed=0), textures(4, 8, 32, seed=1)
    assert accuracy(fit("pose", train, val), val) >= 0.9


def test_every_row_of_the_architecture_study_changes_one_thing_of_the_augmentation_model() -> None:
    published = PoseConfig()
    changed = {}
    for key in Pose.ABLATIONS["am-architecture"]:
        variant = key.partition("@")[2]
        settings = published.model_copy(update=Pose.VARIANTS[variant]) if variant else published
        shape = {name: getattr(settings, name) for name in ("am_layers", "am_kernel", "am_activation")}
        AugmentationModel(shape["am_layers"], shape["am_kernel"], activation=shape["am_activation"])
        changed[key] = {name: value for name, value in shape.items() if value != getattr(published, name)}
    assert changed == {
        "pose": {},
        "pose@layers1": {"am_layers": 1},
        "pose@layers3": {"am_layers": 3},
        "pose@kernel1": {"am_kernel": 1},
        "pose@kernel5": {"am_kernel": 5},
        "pose@relu": {"am_activation": "relu"},
        "pose@tanh": {"am_activation": "tanh"},
    }
