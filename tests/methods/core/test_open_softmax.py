"""Known classes beside one "unknown"."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax as scipy_softmax

from methods.core.network_method import open_softmax


def test_it_is_the_softmax_over_all_classes_and_one_minus_its_last_entry() -> None:
    logits = 4 * np.random.default_rng(0).standard_normal((50, 6))
    expected = scipy_softmax(logits, axis=1)
    scores, known = open_softmax(logits[:, :-1], logits[:, -1])
    np.testing.assert_allclose(scores, expected[:, :-1], rtol=1e-12)
    np.testing.assert_allclose(known, 1 - expected[:, -1], rtol=1e-9)


def test_a_common_shift_changes_nothing() -> None:
    logits = np.random.default_rng(1).standard_normal((20, 5))
    for one, other in zip(
        open_softmax(logits[:, :-1], logits[:, -1]), open_softmax(logits[:, :-1] + 3, logits[:, -1] + 3), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_small_share_of_the_known_classes_is_precise() -> None:
    _, known = open_softmax(np.array([[0.0]]), np.array([100.0]))
    np.testing.assert_allclose(known, [np.exp(-100.0)], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e8])
def test_saturated_logits_keep_the_order_of_classes(scale: float) -> None:
    logits = scale * np.array([[3.0, 2.0, 9.0], [2.0, 3.0, 9.0], [5.0, 2.0, 1.0], [5.0, 2.0, 1.5]])
    scores, known = open_softmax(logits[:, :-1], logits[:, -1])
    assert np.isfinite(scores).all()
    assert scores.argmax(axis=1).tolist() == [0, 1, 0, 0]
    assert (scores.sum(axis=1) <= 1 + 1e-12).all()
    assert known[:2].max() < 1e-200 < known[2:].min()
