"""Decisions at a threshold, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics.decisions import DECISION_METRICS, k_plus_1_accuracy, known_accepted, unknown_rejected

KNOWN, CORRECT = [0.9, 0.5, 0.4, 0.1], np.array([True, True, False, True])
UNKNOWN = [0.5, 0.3, 0.2]


def test_a_score_at_the_threshold_is_accepted_on_either_side():
    assert known_accepted(KNOWN, 0.4) == 3 / 4
    assert known_accepted(KNOWN, 0.5) == 2 / 4
    assert unknown_rejected(UNKNOWN, 0.5) == 2 / 3
    assert unknown_rejected(UNKNOWN, 0.51) == 1


def test_a_known_image_counts_when_it_is_accepted_and_named_and_an_unknown_one_when_it_is_rejected():
    # Accepted: 0.9, 0.5 and 0.4, of which the last has the wrong name; rejected: 0.3 and 0.2.
    assert k_plus_1_accuracy(KNOWN, CORRECT, UNKNOWN, 0.4) == (2 + 2) / 7
    assert k_plus_1_accuracy(KNOWN, CORRECT, [], 0.4) == 2 / 4


@pytest.mark.parametrize("metric", DECISION_METRICS.values(), ids=DECISION_METRICS.keys())
def test_thresholds_beyond_all_scores_give_the_ends_of_the_range(metric):
    arrays = {"known": KNOWN, "correct": np.ones(4, dtype=bool), "unknown": UNKNOWN}
    lowest, highest = metric(**arrays, threshold=-1.0), metric(**arrays, threshold=2.0)
    expected = {"known_accepted": (1, 0), "unknown_rejected": (0, 1), "k_plus_1_accuracy": (4 / 7, 3 / 7)}
    assert (lowest, highest) == expected[metric.name]
    assert metric.low <= lowest <= metric.high


@pytest.mark.parametrize("bad", [[], [np.nan], [[0.1]]])
def test_scores_that_cannot_be_judged_are_refused(bad):
    with pytest.raises(ValueError, match="known"):
        known_accepted(bad, 0.5)
    with pytest.raises(ValueError, match="unknown"):
        unknown_rejected(bad, 0.5)
