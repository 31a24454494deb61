"""The plain loop: which epoch's weights stay, when it stops, and a softmax that does not saturate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datasets.errors import UserError
from methods.core.batches import Batch
from methods.core.method import NotFitted, Task
from methods.core.network_method import NetworkConfig, NetworkMethod, softmax
from methods.core.training import Keeper, TrainingPlan
from tests.methods.data import make_run, textures
from tests.methods.states import differences, duplicate

VAL = textures(2, 2, 16, seed=1)


class Counter(NetworkMethod):
    """Its only weight counts epochs; its validation accuracies are given."""

    kind, title, paper, name = "osr", "Counter", "none", "counter"
    net: nn.Linear
    accuracies: tuple[float, ...] = ()

    def build(self) -> nn.Module:
        return nn.Linear(1, 2, bias=False)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"loss": self.net.weight.sum()}

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(images), 2), torch.zeros(len(images), 1)

    def train_epoch(self, epoch: int, batches: Any) -> None:
        with torch.no_grad():
            self.net.weight.fill_(epoch)

    def accuracy(self, images: Any) -> float:
        return self.accuracies[int(self.net.weight[0, 0])]


def epochs_and_weight(accuracies: list[float], **settings: Any) -> tuple[int, int]:
    """How many epochs were trained, and whose weight is left."""
    method = Counter(NetworkConfig(epochs=len(accuracies), **settings), make_run())
    method.accuracies = tuple(accuracies)
    method.fit(textures(2, 2, 16), VAL)
    assert not method.net.training
    return len(method.run.history.rows), int(method.net.weight[0, 0])


@pytest.mark.parametrize(
    ("accuracies", "settings", "expected"),
    [
        ([0.2, 0.9, 0.5, 0.4], {}, (4, 3)),
        ([0.2, 0.9, 0.5, 0.4], {"keep": "best"}, (4, 1)),
        ([0.2, 0.9, 0.5, 0.9], {"keep": "best"}, (4, 3)),
        ([0.2, 0.9, 0.5, 0.4, 0.95], {"patience": 2}, (4, 3)),
        ([0.2, 0.9, 0.5, 0.4, 0.95], {"patience": 2, "keep": "best"}, (4, 1)),
        ([0.2, 0.9, 0.5, 0.9, 0.5, 0.4, 1.0], {"patience": 2, "keep": "best"}, (6, 3)),
        ([0.0, 0.0], {"keep": "best"}, (2, 1)),
    ],
)
def test_the_epoch_that_stays_and_the_epoch_that_is_last(
    accuracies: list[float], settings: dict[str, Any], expected: tuple[int, int]
) -> None:
    assert epochs_and_weight(accuracies, **settings) == expected


def test_the_plan_says_what_the_settings_say() -> None:
    config = NetworkConfig(
        epochs=3, batch_size=4, steps_per_epoch=5, learning_rate=0.1, decay_factor=0.5, decay_steps=6, keep="best",
        patience=7,
    )  # fmt: skip
    assert Counter(config, make_run()).plan == TrainingPlan(3, 4, 5, 0.1, 0.5, 6, keep="best", patience=7)


class Short(Counter):
    """Trains otherwise than its settings say."""

    @property
    def plan(self) -> TrainingPlan:
        return replace(super().plan, epochs=2, keep="best", learning_rate=0.25)


def test_a_method_trains_by_its_own_plan_and_leaves_the_settings_alone() -> None:
    method = Short(NetworkConfig(epochs=4), make_run())
    method.accuracies = (0.9, 0.5)
    method.fit(textures(2, 2, 16), VAL)
    assert (len(method.run.history.rows), int(method.net.weight[0, 0])) == (2, 0)
    assert method.optim.defaults["lr"] == 0.25
    assert method.config == NetworkConfig(epochs=4)


def test_predictions_before_there_is_a_network_are_refused() -> None:
    with pytest.raises(NotFitted, match="Counter has no net yet"):
        Counter(NetworkConfig(), make_run()).predict(VAL)


@pytest.mark.parametrize(
    ("state", "difference"),
    [
        ({"net": {"weight": torch.zeros(3, 1)}}, "its 'weight' is 3 x 1, here it is 2 x 1"),
        ({"net": {}}, "it has no 'weight'"),
        ({"model": {}}, "it has no 'weight'"),
        ({"net": {"weight": torch.zeros(2, 1), "bias": torch.zeros(2)}}, "it has 'bias', which is unknown here"),
    ],
)
def test_weights_of_another_network_are_a_users_mistake_of_one_line(state: Any, difference: str) -> None:
    method = Counter(NetworkConfig(), make_run())
    method.task = Task(("real", "fake"), 16)
    with pytest.raises(UserError) as error:
        method.restore(state)
    assert str(error.value) == f"the stored state of Counter is of another network: {difference}; make it again"


def test_the_best_epoch_is_remembered_by_a_copy() -> None:
    keeper, net = Keeper(), nn.Linear(1, 1)
    keeper.offer(0.5, net)
    kept = duplicate(net.state_dict())
    nn.init.constant_(net.weight, 7.0)
    assert keeper.weights is not None
    assert differences(kept, keeper.weights) == []


def test_a_keeper_goes_on_from_its_state() -> None:
    keeper, other, net = Keeper(), Keeper(), nn.Linear(1, 1)
    for score in (0.5, 0.4):
        keeper.offer(score, net)
    other.load_state_dict(keeper.state_dict())
    assert (other.best, other.since) == (0.5, 1)
    other.offer(0.5, net)
    assert other.since == 0


def test_softmax_agrees_with_its_definition_and_survives_large_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (5, 4))
    np.testing.assert_allclose(softmax(logits), np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(softmax(logits + 1e4), softmax(logits), rtol=1e-9)


def test_a_lead_of_thirty_leaves_the_confidence_below_one() -> None:
    assert softmax(np.array([[30.0, 0.0]]))[0, 0] < 1 > softmax(np.array([[36.0, 0.0]]))[0, 0]
