"""Softmax over the known classes and one more, "unknown", without losing the order of the rest."""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy.special import expit, logsumexp

from methods.core.method import Floats
from methods.core.network_method import softmax

LEAST = 1e-300  # keeps the order of the known classes where their common share underflows


def open_softmax(logits: Floats, unknown: Floats) -> tuple[Floats, Floats]:
    """Probabilities of K known classes beside a class "unknown".

    Args:
        logits: (N, K) of the known classes, float64.
        unknown: (N,) of "unknown".

    Returns:
        (N, K) the entries of the known classes, as P(known) x P(class | known), so that an image that is surely
        unknown still has a best class; and (N,) P(known), precise where it is small.
    """
    known = expit(logsumexp(logits, axis=1) - unknown)
    return cast(Floats, softmax(logits) * np.maximum(known, LEAST)[:, None]), known
