"""The same metrics as the released code of ARPL and POSE computes them, for comparison on request.

The two repositories share `metric_ood` and `compute_oscr`. These are vectorised equivalents (sorting
instead of loops) that leave their inputs untouched; they differ from `benchmark.metrics.open_set` in ties,
interpolation and one off-by-one, as each docstring says. Without ties the differences stay below the
second decimal of a percentage at the size of OSMA. Arguments, orientation, units (fractions) and errors
are those of `benchmark.metrics.open_set`.

The curve: samples are taken away one by one, lowest score first, and of equal scores the known ones go
first. So a tie between a known and an unknown image counts fully against the method, unlike the half
tie of the exact metrics, and no function here depends on the order of the images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.metrics.metric import Floats, Ints, Metric, by_name, check_correct, check_scores


def official_auc(known: ArrayLike, unknown: ArrayLike) -> float:
    """Area under the ROC curve by trapezoids: share of pairs won, a tie counting 0 instead of half."""
    tpr, fpr = _rates(known, unknown)
    return _area(1 - fpr, tpr)


def official_tnr(known: ArrayLike, unknown: ArrayLike) -> float:
    """1 - FPR at the position whose TPR is nearest to 0.95, the first one if several are.

    Among positions of equal TPR that is the one with the largest FPR, and its TPR may lie below 0.95.
    With fewer than ten known images it is the start of the curve and the result 0. Ties are lost.
    """
    tpr, fpr = _rates(known, unknown)
    return float(1 - fpr[np.abs(tpr - 0.95).argmin()])


def official_dtacc(known: ArrayLike, unknown: ArrayLike) -> float:
    """Best (TPR + TNR) / 2 over the positions.

    Equals the exact value with ties, too: the positions inside a tie are never better than its ends.
    """
    tpr, fpr = _rates(known, unknown)
    return float(np.max(tpr + 1 - fpr) / 2)


def official_auin(known: ArrayLike, unknown: ArrayLike) -> float:
    """Precision over recall of the known images by trapezoids, closed at (recall 0, precision 0).

    Linear interpolation, unlike average precision. Ties are lost.
    """
    kept_known, kept_unknown = _kept(known, unknown)
    kept = (kept_known + kept_unknown)[:-1]  # nothing is left at the last position
    return _area(np.append(kept_known[:-1] / kept, 0.0), kept_known / kept_known[0])


def official_auout(known: ArrayLike, unknown: ArrayLike) -> float:
    """Precision over recall of the unknown images by trapezoids, closed at (recall 0, precision 0).

    Linear interpolation, unlike average precision. Ties are lost.
    """
    kept_known, kept_unknown = _kept(known, unknown)
    taken_known, taken_unknown = kept_known[0] - kept_known, kept_unknown[0] - kept_unknown
    taken = (taken_known + taken_unknown)[1:]  # nothing is taken at the first position
    return _area(np.append(0.0, taken_unknown[1:] / taken), kept_unknown / kept_unknown[0])


def official_oscr(known: ArrayLike, correct: ArrayLike, unknown: ArrayLike) -> float:
    """OSCR by trapezoids over thresholds that keep the unknown at their rank, but not the known.

    That mismatch by one costs half a pair wherever an unknown image is followed, in ascending order, by
    a correctly classified known one: without ties the result is the exact OSCR minus R / (2 K U), R being
    the number of such places. With ties the released code depends on the order in which an unstable
    sort happens to leave them; here they are ordered correct, wrong, unknown, which gives the lowest of
    all the values it can return, every time.
    """
    known, unknown = check_scores(known=known, unknown=unknown)
    kind = np.concatenate([np.where(check_correct(correct, known), 0, 1), np.full(unknown.size, 2)])
    kind = kind[np.lexsort((kind, np.concatenate([known, unknown])))]
    right, false = kind == 0, kind == 2
    right_above = _from_here_on(right) - right
    return _area(right_above / known.size, _from_here_on(false) / unknown.size)


def _from_here_on(flags: NDArray[np.bool_]) -> Ints:
    """At each rank, the number of flags at this rank and all higher ones."""
    return np.cumsum(flags[::-1], dtype=np.int64)[::-1]


def _kept(known: ArrayLike, unknown: ArrayLike) -> tuple[Ints, Ints]:
    """(K + U + 1,) known and unknown samples left at each position, from (K, U) down to (0, 0)."""
    known, unknown = check_scores(known=known, unknown=unknown)
    order = np.argsort(np.concatenate([known, unknown]), kind="stable")  # stable: known first in a tie
    is_known = order < known.size
    return np.append(_from_here_on(is_known), 0), np.append(_from_here_on(~is_known), 0)


def _rates(known: ArrayLike, unknown: ArrayLike) -> tuple[Floats, Floats]:
    """TPR and FPR at each position, from (1, 1) down to (0, 0)."""
    kept_known, kept_unknown = _kept(known, unknown)
    return kept_known / kept_known[0], kept_unknown / kept_unknown[0]


def _area(heights: Floats, falling: Floats) -> float:
    """Trapezoid area over an axis that runs downwards (or its mirror image, upwards)."""
    return float(np.sum((heights[:-1] + heights[1:]) * (falling[:-1] - falling[1:])) / 2)


OFFICIAL_METRICS = by_name(
    Metric(official_auc, "AUC (official)", "higher", 0, 1, "ARPL and POSE code, metric_ood"),
    Metric(official_oscr, "OSCR (official)", "higher", 0, 1, "ARPL and POSE code, compute_oscr"),
    Metric(official_tnr, "TNR (official)", "higher", 0, 1, "ARPL and POSE code, metric_ood"),
    Metric(official_dtacc, "DTACC (official)", "higher", 0.5, 1, "ARPL and POSE code, metric_ood"),
    Metric(official_auin, "AUIN (official)", "higher", 0, 1, "ARPL and POSE code, metric_ood"),
    Metric(official_auout, "AUOUT (official)", "higher", 0, 1, "ARPL and POSE code, metric_ood"),
)
