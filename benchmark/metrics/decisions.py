"""Metrics of hard decisions: an image is taken for known if and only if its confidence reaches a threshold.

Arguments, orientation, units (fractions) and errors are those of `benchmark.metrics.open_set`; the threshold comes
from elsewhere, usually from validation images (`threshold_accepting`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from benchmark.metrics.metric import Metric, by_name, check_correct, check_scores


def known_accepted(known: ArrayLike, threshold: float) -> float:
    """Share of known images whose confidence reaches the threshold."""
    (known,) = check_scores(known=known)
    return float(np.mean(known >= threshold))


def unknown_rejected(unknown: ArrayLike, threshold: float) -> float:
    """Share of unknown images whose confidence lies below the threshold."""
    (unknown,) = check_scores(unknown=unknown)
    return float(np.mean(unknown < threshold))


def k_plus_1_accuracy(known: ArrayLike, correct: ArrayLike, unknown: ArrayLike, threshold: float) -> float:
    """Share of right decisions on all images: a known one accepted and named right, an unknown one rejected.

    Unlike the areas it depends on how many images of either kind there are. `unknown` may be empty.
    """
    (known,) = check_scores(known=known)
    named = (known >= threshold) & check_correct(correct, known)
    rejected = np.asarray(unknown, dtype=np.float64) < threshold
    return float(np.mean(np.concatenate([named, rejected])))


DECISION_METRICS = by_name(
    Metric(known_accepted, "Known accepted", "higher", 0, 1, "share of known images at or above the threshold"),
    Metric(unknown_rejected, "Unknown rejected", "higher", 0, 1, "share of unknown images below the threshold"),
    Metric(
        k_plus_1_accuracy, "K+1 accuracy", "higher", 0, 1, "Scheirer et al., TPAMI 2013 (unknown as one more class)"
    ),
)
