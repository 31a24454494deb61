"""Losses that more than one method uses."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

ClassificationLoss = Literal["double_softmax", "ce", "ce_temperature"]


def classification_loss(logits: Tensor, labels: Tensor, kind: ClassificationLoss, temperature: float = 0.1) -> Tensor:
    """Cross-entropy of logits (B, K) against labels (B,), in one of three readings.

    double_softmax: of softmax(logits) / temperature, as the official POSE code computes it; bounded,
        with a vanishing gradient for samples that are wrong with certainty.
    ce: of the logits.
    ce_temperature: of logits / temperature, as in the ARPL code that POSE's derives from.
    """
    if kind == "double_softmax":
        return F.cross_entropy(logits.softmax(dim=1) / temperature, labels)
    return F.cross_entropy(logits if kind == "ce" else logits / temperature, labels)


def pairwise_distances(points: Tensor) -> Tensor:
    """Euclidean distances (N, N) of rows (N, D), floored at 1e-6 where the gradient is cut."""
    squares = points.square().sum(dim=1)
    squared = squares[:, None] + squares[None, :] - 2 * points @ points.T
    return squared.clamp_min(1e-12).sqrt()


def batch_hard_triplet(points: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Batch-hard triplet loss (Hermans et al., 2017) on Euclidean distances of embeddings as they come.

    Every row is an anchor: its farthest row of equal label, its nearest row of another label, and
    mean(max(0, positive - negative + margin)).
    """
    distances = pairwise_distances(points)
    same = labels[:, None] == labels[None, :]
    positive = distances.masked_fill(~same, 0.0).amax(dim=1)
    negative = distances.masked_fill(same, torch.inf).amin(dim=1)
    return F.relu(positive - negative + margin).mean()
