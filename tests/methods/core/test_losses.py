"""Losses against hand-computed values and slow restatements of their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from methods.core.losses import batch_hard_triplet, classification_loss, pairwise_distances

LOGITS = (2.0, 0.0, -1.0)


def loss_of(logits: tuple[float, ...], label: int, kind: str = "double_softmax") -> float:
    return classification_loss(torch.tensor([logits]), torch.tensor([label]), kind).item()  # type: ignore[arg-type]


# -- classification ----------------------------------------------------------------------------------


def test_the_softmax_of_the_example_is_that_of_paper_and_pencil() -> None:
    assert torch.tensor(LOGITS).softmax(0).tolist() == pytest.approx([0.843795, 0.114195, 0.042010], abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "label", "expected"),
    [
        ("double_softmax", 0, 0.001007),
        ("double_softmax", 2, 8.018854),
        ("ce", 0, 0.169846),
        ("ce", 2, 3.169846),
        ("ce_temperature", 1, 20.0),
    ],
)
def test_the_classification_loss_has_the_hand_computed_values(kind: str, label: int, expected: float) -> None:
    assert loss_of(LOGITS, label, kind) == pytest.approx(expected, abs=2e-6)


def test_the_softmax_of_a_softmax_is_bounded_on_both_sides() -> None:
    right, wrong = (100.0, *[0.0] * 14), (0.0, 100.0, *[0.0] * 13)
    assert loss_of(right, 0) == pytest.approx(6.354e-4, rel=1e-3)
    assert loss_of(wrong, 0) == pytest.approx(10.0006, abs=1e-4)
    assert loss_of((0.0,) * 15, 3) == pytest.approx(math.log(15), abs=1e-5)


def test_a_sample_that_is_wrong_with_certainty_gets_no_gradient_from_the_softmax_of_a_softmax() -> None:
    logits = torch.tensor([[0.0, 40.0, 0.0]], requires_grad=True)
    classification_loss(logits, torch.tensor([0]), "double_softmax").backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize("kind", ["double_softmax", "ce", "ce_temperature"])
@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_the_classification_loss_is_its_definition_image_by_image(kind: str, temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (9, 5)), rng.integers(5, size=9)

    def softmax(values: np.ndarray) -> np.ndarray:
        return np.exp(values) / np.exp(values).sum()

    def read(row: np.ndarray) -> np.ndarray:
        return {"double_softmax": softmax(row) / temperature, "ce": row, "ce_temperature": row / temperature}[kind]

    expected = np.mean([-np.log(softmax(read(row))[label]) for row, label in zip(logits, labels, strict=True)])
    found = classification_loss(torch.tensor(logits), torch.tensor(labels), kind, temperature)  # type: ignore[arg-type]
    assert found.item() == pytest.approx(expected, rel=1e-9)


# -- triplet -----------------------------------------------------------------------------------------


def triplet_by_hand(points: np.ndarray, labels: np.ndarray, margin: float) -> float:
    """For every anchor the farthest of its class and the nearest of another."""
    total = 0.0
    for i in range(len(points)):
        far, near = 0.0, math.inf
        for j in range(len(points)):
            distance = math.sqrt(max(sum((a - b) ** 2 for a, b in zip(points[i], points[j], strict=True)), 1e-12))
            if labels[i] == labels[j]:
                far = max(far, distance)
            else:
                near = min(near, distance)
        total += max(0.0, far - near + margin)
    return total / len(points)


def test_the_triplet_loss_of_four_points_is_that_of_paper_and_pencil() -> None:
    points = torch.tensor([[0.0, 0], [1, 0], [0, 2], [3, 0]])
    loss = batch_hard_triplet(points, torch.tensor([0, 0, 1, 1]), margin=0.3)
    # positives 1, 1, sqrt(13), sqrt(13); negatives 2, 2, 2, 2
    assert loss.item() == pytest.approx(0.952776, abs=1e-6)
    assert loss.item() == pytest.approx((2 * 0 + 2 * (math.sqrt(13) - 2 + 0.3)) / 4, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
def test_the_triplet_loss_is_its_definition_pair_by_pair(seed: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    points, labels = rng.normal(size=(14, 3)), rng.integers(4, size=14)
    found = batch_hard_triplet(torch.tensor(points), torch.tensor(labels), margin).item()
    assert found == pytest.approx(triplet_by_hand(points, labels, margin), rel=1e-9)


def test_the_triplet_loss_does_not_depend_on_the_order_of_the_batch() -> None:
    rng = np.random.default_rng(0)
    points, labels = torch.tensor(rng.normal(size=(14, 3))), torch.tensor(rng.integers(4, size=14))
    order = torch.tensor(rng.permutation(14))
    one, other = batch_hard_triplet(points, labels, 0.3), batch_hard_triplet(points[order], labels[order], 0.3)
    assert one.item() == pytest.approx(other.item(), rel=1e-12)


def test_the_embeddings_are_not_normalised_first() -> None:
    points, labels = torch.tensor([[0.0, 0], [1, 0], [0, 2], [3, 0]]), torch.tensor([0, 0, 1, 1])
    assert batch_hard_triplet(10 * points, labels, 0.0).item() == pytest.approx(
        10 * batch_hard_triplet(points, labels, 0.0).item(), rel=1e-6
    )


def test_an_anchor_without_a_negative_costs_nothing() -> None:
    assert batch_hard_triplet(torch.randn(5, 2), torch.zeros(5, dtype=torch.int64), 0.3).item() == 0


def test_equal_points_have_the_floor_as_distance_and_no_gradient() -> None:
    points = torch.ones(3, 4, requires_grad=True)
    distances = pairwise_distances(points)
    torch.testing.assert_close(distances, torch.full((3, 3), 1e-6))
    distances.sum().backward()
    assert points.grad is not None
    assert torch.equal(points.grad, torch.zeros(3, 4))


def test_distances_are_euclidean() -> None:
    points = torch.randn(6, 3, dtype=torch.float64)
    found = pairwise_distances(points)
    torch.testing.assert_close(found.fill_diagonal_(0), torch.cdist(points, points))
