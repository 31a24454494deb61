"""The plain loop: which epoch's weights stay, when it stops, and a softmax that does not saturate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods.core.batches import Batch
from methods.core.network_method import Keeper, NetworkConfig, NetworkMethod, softmax
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
