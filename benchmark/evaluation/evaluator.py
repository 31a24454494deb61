"""Figures from predictions: everything here can be deleted and computed again from predictions.npz."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.record import DataFacts
from benchmark.evaluation.answers import PredictionArrays
from benchmark.evaluation.figures import GROUPS, ClosedSet, Curve, Decisions, Evaluation, RealImages, UnknownClass
from benchmark.evaluation.parts import ALL, KNOWN, VAL
from benchmark.metrics.decisions import DECISION_METRICS
from benchmark.metrics.metric import Bools, Floats, Ints, Metric
from benchmark.metrics.official import OFFICIAL_METRICS
from benchmark.metrics.open_set import METRICS, VERSION, auc, threshold_accepting
from datasets.splits import UNKNOWN_GROUPS

ACCEPTED = 0.95  # share of validation images that the threshold for hard decisions accepts

# What decides which metrics describe what: the arrays that they need.
_CLOSED_SET = {"labels", "predicted"}
_CURVE = {"known", "correct", "unknown"}


def evaluate(predictions: PredictionArrays, data: DataFacts, official: bool = False) -> Evaluation:
    """All figures of one cell, as fractions.

    Args:
        predictions: what the method said.
        data: class names, and the sources of real images that occur in training; others are "unseen real".
        official: also give the curve metrics as the official code computes them.
    """
    known, val = predictions.of(KNOWN), predictions.of(VAL)
    right = predictions.predicted == predictions.label
    return Evaluation(
        metric_version=VERSION,
        val_accuracy=_share(right[val]),
        closed_set=closed_set(predictions.label[known], predictions.predicted[known], len(data.known)),
        real=real_images(predictions, right, known, frozenset(data.seen_sources)),
        unknown=curves(predictions, right, predictions.confidence, official),
        variants={
            name: curves(predictions, right, confidence, official) for name, confidence in predictions.variants.items()
        },
        decisions=hard_decisions(predictions, right),
        unknown_classes=tuple(
            row for group in UNKNOWN_GROUPS for row in unknown_classes(predictions, group, data)
        ),
    )  # fmt: skip


def closed_set(labels: Ints, predicted: Ints, num_classes: int) -> ClosedSet | None:
    """Every metric of labels (N,) and predicted classes (N,), and the confusion matrix; None for no images."""
    if not labels.size:
        return None
    counts = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return ClosedSet(
        figures={
            m.name: m(labels=labels, predicted=predicted) for m in METRICS.values() if set(m.needs) == _CLOSED_SET
        },
        classes_present=int(np.unique(labels).size),
        confusion=tuple(map(tuple, counts.reshape(num_classes, num_classes).tolist())),
    )


def real_images(predictions: PredictionArrays, right: Bools, known: Bools, seen_sources: frozenset[str]) -> RealImages:
    """Accuracy on real images by source, on seen and unseen sources, and without the unseen ones.

    An image whose source is not known counts as neither seen nor unseen.
    """
    source = predictions.source
    real = known & (predictions.label == 0)
    seen = real & np.isin(source, np.array(sorted(seen_sources), dtype=np.str_))
    unseen = real & ~seen & (source != "")
    names = [name for name in np.unique(source[real]).tolist() if name]
    return RealImages(
        seen=_share(right[seen]),
        unseen=_share(right[unseen]),
        without_unseen=_share(right[known & ~unseen]),
        by_source={name: float(right[real & (source == name)].mean()) for name in names},
    )


def group_masks(predictions: PredictionArrays) -> dict[str, Bools]:
    """(N,) masks of the unknown images of every group, and of all."""
    masks = {group: predictions.of(group) for group in UNKNOWN_GROUPS}
    masks[ALL] = np.logical_or.reduce([*masks.values()])
    return {group: masks[group] for group in GROUPS}


def curves(predictions: PredictionArrays, right: Bools, confidence: Floats, official: bool) -> dict[str, Curve]:
    """Curve metrics of known test images against every group of unknown ones, and against all."""
    known = predictions.of(KNOWN)
    return {
        group: curve(confidence[known], right[known], confidence[mask], official)
        for group, mask in group_masks(predictions).items()
    }


def curve(known: Floats, correct: Bools, unknown: Floats, official: bool = False) -> Curve:
    """Every metric that needs only these three arrays."""
    if not (known.size and unknown.size):
        return Curve(int(unknown.size))
    arrays = {"known": known, "correct": correct, "unknown": unknown}
    return Curve(int(unknown.size), {metric.name: metric(**arrays) for metric in curve_metrics(official)})


def curve_metrics(official: bool = False) -> Iterator[Metric]:
    """The metrics of confidence alone."""
    tables = [METRICS, OFFICIAL_METRICS] if official else [METRICS]
    return (metric for table in tables for metric in table.values() if set(metric.needs) <= _CURVE)


def hard_decisions(predictions: PredictionArrays, right: Bools) -> Decisions | None:
    """Known or unknown at the threshold that accepts 95 % of the validation images; None without any."""
    val, known = predictions.of(VAL), predictions.of(KNOWN)
    if not val.any():
        return None
    confidence, masks = predictions.confidence, group_masks(predictions)
    threshold = threshold_accepting(confidence[val], ACCEPTED)
    arrays: dict[str, Any] = {"known": confidence[known], "correct": right[known], "threshold": threshold}
    return Decisions(
        threshold=threshold,
        known_accepted=DECISION_METRICS["known_accepted"](**arrays) if known.any() else None,
        unknown_rejected={
            group: DECISION_METRICS["unknown_rejected"](unknown=confidence[mask], threshold=threshold)
            for group, mask in masks.items()
            if mask.any()
        },
        k_plus_1_accuracy=(
            DECISION_METRICS["k_plus_1_accuracy"](**arrays, unknown=confidence[masks[ALL]]) if known.any() else None
        ),
    )


def unknown_classes(predictions: PredictionArrays, group: str, data: DataFacts) -> Iterator[UnknownClass]:
    """AUC of all known test images against every unknown class of a group, and what its images are taken for."""
    known, member = predictions.confidence[predictions.of(KNOWN)], predictions.of(group)
    for label, name in enumerate(data.unknown.get(group, ())):
        mask = member & (predictions.label == label)
        confidence, predicted = predictions.confidence[mask], predictions.predicted[mask]
        if not (confidence.size and known.size):
            yield UnknownClass(group, name, int(confidence.size))
            continue
        counts = np.bincount(predicted, minlength=len(data.known))
        yield UnknownClass(
            group, name, int(confidence.size), auc(known, confidence), float(confidence.mean()),
            data.known[int(counts.argmax())], float(counts.max() / predicted.size),
        )  # fmt: skip


def _share(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if flags.size else None
