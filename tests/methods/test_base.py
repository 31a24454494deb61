"""Base: published settings, the training restated step by step, and what it hands out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets.seeds import seed_of
from methods.base import Base, BaseConfig
from methods.core.device import seed_everything
from methods.core.networks.simple_cnn import SimpleCnn
from tests.methods.data import accuracy, fit, make_run, textures, unfitted

SMALL: dict[str, Any] = {"width": 2, "epochs": 2, "steps_per_epoch": 3, "batch_size": 2}


@pytest.fixture(scope="module")
def images() -> Any:
    return textures(3, 6, 32, seed=0), textures(3, 4, 32, seed=1)


def small(images: Any, **overrides: Any) -> Any:
    return fit("base", *images, overrides=SMALL | overrides)


def test_the_defaults_are_the_values_of_the_official_configuration() -> None:
    config = BaseConfig()
    assert (config.learning_rate, config.batch_size, config.epochs, config.steps_per_epoch) == (1e-4, 8, 20, None)
    assert (config.decay_factor, config.decay_steps) == (0.9, 500)
    assert (config.width, config.input_data, config.classification, config.temperature) == (
        64,
        "dct",
        "double_softmax",
        0.1,
    )
    assert (config.keep, config.patience, config.drop_last, config.feature_tap) == ("last", None, False, "post_dropout")


def test_the_published_settings_build_the_published_network() -> None:
    method = Base(BaseConfig(), make_run())
    method.prepare_fit(textures(15, 1, 128))
    assert method.trainable() == 22_680_207
    assert type(method.optim) is torch.optim.Adam
    wanted = {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False}
    assert {key: method.optim.defaults[key] for key in wanted} == wanted


def test_one_pass_of_the_official_loader_is_a_round(images: Any) -> None:
    method = small(images, steps_per_epoch=None, batch_size=4, epochs=1)
    assert method.run.history.rows[0]["steps"] == math.ceil(6 / 4)


# -- the training ------------------------------------------------------------------------------------


def double_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(softmax(logits) / 0.1)[label], spelt out."""
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    q = (p / 0.1).exp() / (p / 0.1).exp().sum(dim=1, keepdim=True)
    return -torch.stack([q[i, label].log() for i, label in enumerate(labels.tolist())]).mean()


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    return -torch.stack([p[i, label].log() for i, label in enumerate(labels.tolist())]).mean()


def descent(net: torch.nn.Module) -> torch.optim.Optimizer:
    """Plain descent in place of Adam, which would blow up the rounding of gradients that are zero."""
    return torch.optim.SGD(net.parameters(), lr=0.05)


def trained_by_hand(train: Any, loss_of: Any) -> tuple[SimpleCnn, list[float]]:
    """Forward, loss, step; the learning rate falls by a tenth every four steps, across epochs."""
    run = make_run()
    with run.seeded("weights"):
        net = SimpleCnn(3, 32, 2)
    optimiser, batches, losses = descent(net), run.batches(train, size=2, steps=3), []
    for epoch in range(2):
        seed_everything(seed_of(0, "fit", epoch))
        net.train()
        for step, batch in enumerate(batches.epoch(epoch), start=3 * epoch):
            optimiser.param_groups[0]["lr"] = 0.05 * 0.9 ** (step // 4)
            loss = loss_of(net(batch.images)[0], batch.labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    return net, losses


@pytest.mark.parametrize(("loss", "loss_of"), [("double_softmax", double_softmax), ("ce", cross_entropy)])
def test_training_is_the_published_loop_restated(
    images: Any, monkeypatch: pytest.MonkeyPatch, loss: str, loss_of: Any
) -> None:
    monkeypatch.setattr(Base, "optimiser", lambda self: descent(self.net))
    method = small(images, classification=loss, decay_steps=4)
    net, losses = trained_by_hand(images[0], loss_of)
    means = [row["cls"] for row in method.run.history.rows]
    assert means == pytest.approx([np.mean(losses[:3]), np.mean(losses[3:])], rel=1e-5)
    for name, expected in net.state_dict().items():
        torch.testing.assert_close(method.net.state_dict()[name], expected, rtol=1e-4, atol=1e-5, msg=name)


def test_the_learning_rate_falls_across_epochs(images: Any) -> None:
    method = small(images, decay_steps=4, learning_rate=1e-2)
    assert method.optim.param_groups[0]["lr"] == pytest.approx(0.9e-2)


def test_statistics_are_those_of_the_batches_in_every_round(images: Any) -> None:
    assert small(images).net.main[0].main[1].num_batches_tracked.item() == 6


def test_the_variant_with_plain_cross_entropy_changes_the_loss_alone() -> None:
    plain, published = unfitted("base@ce", make_run()), unfitted("base", make_run())
    assert plain.config == published.config.model_copy(update={"classification": "ce"})


def test_pixels_can_take_the_place_of_coefficients(images: Any) -> None:
    method = small(images, input_data="img")
    assert isinstance(method.net.input, torch.nn.Identity)
    assert np.isfinite(method.predict(images[1]).scores).all()


# -- what it hands out -------------------------------------------------------------------------------


def test_scores_are_probabilities_and_the_confidence_is_the_largest(images: Any) -> None:
    prediction = small(images).predict(images[1])
    np.testing.assert_allclose(prediction.scores.sum(axis=1), 1, rtol=1e-12)
    assert (prediction.confidence == prediction.scores.max(axis=1)).all()
    assert prediction.features.shape == (12, 16)


def test_prediction_is_the_softmax_of_the_network_in_evaluation_mode(images: Any) -> None:
    method = small(images)
    x = torch.from_numpy(images[1].batch(slice(None))).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        logits, feature = method.net.eval()(x)
    prediction = method.predict(images[1])
    np.testing.assert_allclose(prediction.scores, logits.double().softmax(dim=1), atol=1e-5)
    np.testing.assert_allclose(prediction.features, feature, rtol=1e-4, atol=1e-4)


def test_training_at_the_smoke_preset_separates_textures() -> None:
    train, val = textures(4, 16, 32, seed=0), textures(4, 8, 32, seed=1)
    assert accuracy(fit("base", train, val), val) >= 0.9
