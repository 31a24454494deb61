"""Metrics of closed-set attribution and open-set detection, on plain arrays.

Everywhere: `known` (K,) and `unknown` (U,) hold the confidence of known and unknown test images on
one scale, higher = more likely known, and the known images are the positives; `labels` and
`predicted` (N,) hold class numbers. Results are fractions, independent of the order of the images.
Empty arrays, NaN and infinite scores are refused with a ValueError (see `check_scores`): a caller that
may meet an empty group decides itself what to show for it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from benchmark.metrics.metric import Floats, Ints, Metric, by_name, check_correct, check_labels, check_scores

VERSION = 1  # kept with every evaluation; raise it when a definition below changes


def accuracy(labels: ArrayLike, predicted: ArrayLike) -> float:
    """Share of images whose predicted class is the true one."""
    truth, guess = check_labels(labels=labels, predicted=predicted)
    return float(np.mean(truth == guess))


def macro_recall(labels: ArrayLike, predicted: ArrayLike) -> float:
    """Unweighted mean recall of the classes that occur in `labels`; a class without images has none."""
    hits, true, _ = _class_counts(labels, predicted)
    return float(np.mean(hits / true))


def macro_f1(labels: ArrayLike, predicted: ArrayLike) -> float:
    """Unweighted mean of the F1 scores of the classes that occur in `labels`.

    A class that is predicted but never true is left out, so that recall and F1 average the same
    classes; its false predictions still lower the recall of the classes they were taken from.
    """
    hits, true, guessed = _class_counts(labels, predicted)
    return float(np.mean(2 * hits / (true + guessed)))


def _class_counts(labels: ArrayLike, predicted: ArrayLike) -> tuple[Ints, Ints, Ints]:
    """Per class occurring in `labels`: right predictions, images, predictions."""
    truth, guess = check_labels(labels=labels, predicted=predicted)
    names, numbers = np.unique(np.concatenate([truth, guess]), return_inverse=True)
    truth, guess = numbers[: truth.size], numbers[truth.size :]
    hits, true, guessed = (np.bincount(x, minlength=names.size) for x in (truth[truth == guess], truth, guess))
    present = true > 0
    return hits[present], true[present], guessed[present]


def auc(known: ArrayLike, unknown: ArrayLike) -> float:
    """Area under the ROC curve: share of (known, unknown) pairs ranked right, a tie counting half.

    A value below 0.5 on validation data means that the score has the wrong sign. Cost O(n log n).
    """
    known, unknown = check_scores(known=known, unknown=unknown)
    return _double_wins(known, unknown) / (2 * known.size * unknown.size)


def oscr(known: ArrayLike, correct: ArrayLike, unknown: ArrayLike) -> float:
    """Area under the curve of correct classification rate over false positive rate.

    The share of (known, unknown) pairs in which the known image is classified correctly and scores
    higher, a tie counting half: AUC if every known image is classified correctly, accuracy if every
    correct one outscores all unknown ones, never above either. Cost O(n log n).

    Args:
        known: (K,) confidence of known images.
        correct: (K,) bool, whether each known image got the right class.
        unknown: (U,) confidence of unknown images.

    Raises:
        ValueError: see `check_scores`; or `correct` is not boolean or not of length K.
    """
    known, unknown = check_scores(known=known, unknown=unknown)
    return _double_wins(known[check_correct(correct, known)], unknown) / (2 * known.size * unknown.size)


def _double_wins(known: Floats, unknown: Floats) -> int:
    """Twice the number of pairs won, kept an integer so that ties leave it exact."""
    ranked = np.sort(unknown)
    below = np.searchsorted(ranked, known, side="left")
    not_above = np.searchsorted(ranked, known, side="right")
    return int(below.sum() + not_above.sum())


def tied_share(known: ArrayLike, unknown: ArrayLike) -> float:
    """Share of (known, unknown) pairs with equal scores: how far the choice of a tie rule matters."""
    known, unknown = check_scores(known=known, unknown=unknown)
    ranked = np.sort(unknown)
    ties = np.searchsorted(ranked, known, side="right") - np.searchsorted(ranked, known, side="left")
    return int(ties.sum()) / (known.size * unknown.size)


def threshold_accepting(scores: ArrayLike, share: float = 0.95) -> float:
    """The highest threshold t with at least `share` of the scores >= t: the ceil(share * N)-th largest.

    An image is accepted as known if and only if its score is >= t; ties at t are all accepted.

    Args:
        scores: (N,) confidence, usually of validation images.
        share: in (0, 1].

    Raises:
        ValueError: see `check_scores`; or `share` lies outside its range.
    """
    (scores,) = check_scores(scores=scores)
    if not 0 < share <= 1:
        raise ValueError(f"share: expected a number in (0, 1], got {share}")
    # Rounded first: 0.55 * 100 is 55.000000000000007 in floating point, and means 55.
    rank = max(1, math.ceil(round(share * scores.size, 9)))
    position = scores.size - rank
    return float(np.partition(scores, position)[position])


def tnr_at_tpr(known: ArrayLike, unknown: ArrayLike, tpr: float = 0.95) -> float:
    """Share of unknown images rejected at the threshold that accepts at least `tpr` of the known.

    With fewer than 20 known images and tpr 0.95 that threshold is the lowest known score.
    """
    known, unknown = check_scores(known=known, unknown=unknown)
    return float(np.mean(unknown < threshold_accepting(known, tpr)))


def fpr95(known: ArrayLike, unknown: ArrayLike) -> float:
    """Share of unknown images accepted at the threshold that accepts at least 95 % of the known."""
    known, unknown = check_scores(known=known, unknown=unknown)
    return float(np.mean(unknown >= threshold_accepting(known, 0.95)))


def dtacc(known: ArrayLike, unknown: ArrayLike) -> float:
    """Detection accuracy: the best (TPR + TNR) / 2 over all thresholds; 0.5 for a useless score."""
    known, unknown = (np.sort(scores) for scores in check_scores(known=known, unknown=unknown))
    thresholds = np.concatenate([known, unknown])
    tpr = 1 - np.searchsorted(known, thresholds, side="left") / known.size
    tnr = np.searchsorted(unknown, thresholds, side="left") / unknown.size
    return float(np.max(tpr + tnr) / 2)


def auin(known: ArrayLike, unknown: ArrayLike) -> float:
    """Average precision with known images as positives; K / (K + U) for a useless score."""
    known, unknown = check_scores(known=known, unknown=unknown)
    return _average_precision(known, unknown)


def auout(known: ArrayLike, unknown: ArrayLike) -> float:
    """Average precision with unknown images as positives, lowest score first; chance U / (K + U)."""
    known, unknown = check_scores(known=known, unknown=unknown)
    return _average_precision(-unknown, -known)


def _average_precision(positive: Floats, negative: Floats) -> float:
    """Sum of precision times gain in recall over the distinct thresholds; ties enter together."""
    thresholds, gained = np.unique(positive, return_counts=True)
    true = np.cumsum(gained[::-1])[::-1]
    false = negative.size - np.searchsorted(np.sort(negative), thresholds, side="left")
    return float(np.sum(gained * true / (true + false)) / positive.size)


METRICS = by_name(
    Metric(accuracy, "Accuracy", "higher", 0, 1, "share of right predictions"),
    Metric(macro_recall, "Macro recall", "higher", 0, 1, "Brodersen et al., ICPR 2010"),
    Metric(macro_f1, "Macro F1", "higher", 0, 1, "Opitz, Burst, arXiv 1911.03347 (mean of the F1 scores)"),
    Metric(auc, "AUC", "higher", 0, 1, "Hanley, McNeil, Radiology 1982"),
    Metric(oscr, "OSCR", "higher", 0, 1, "Dhamija et al., NeurIPS 2018"),
    Metric(tnr_at_tpr, "TNR@TPR95", "higher", 0, 1, "Liang et al. (ODIN), ICLR 2018"),
    Metric(fpr95, "FPR95", "lower", 0, 1, "Liang et al. (ODIN), ICLR 2018"),
    Metric(dtacc, "DTACC", "higher", 0.5, 1, "Lee et al., NeurIPS 2018"),
    Metric(auin, "AUIN", "higher", 0, 1, "Hendrycks, Gimpel, ICLR 2017"),
    Metric(auout, "AUOUT", "higher", 0, 1, "Hendrycks, Gimpel, ICLR 2017"),
    Metric(tied_share, "Tied pairs", "neither", 0, 1, "twice the AUC that is lost if a tie counts 0"),
)
