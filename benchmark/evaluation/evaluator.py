"""Numbers from predictions: everything here can be deleted and computed again from predictions.npz."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.predictions import KNOWN, VAL, Predictions
from benchmark.metrics import open_set as metrics
from benchmark.metrics.official import OFFICIAL_METRICS
from datasets.splits import UNKNOWN_GROUPS

SCHEMA = 1
ALL = "all"
ACCEPTED = 0.95  # share of validation images that the threshold for hard decisions accepts

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Values = dict[str, Any]


@dataclass(frozen=True)
class Classes:
    """Class names of a split: the known ones, and the unknown ones by group."""

    known: tuple[str, ...]
    unknown: Mapping[str, tuple[str, ...]]


def evaluate(
    predictions: Predictions, classes: Classes, seen_sources: frozenset[str], official: bool = False
) -> Values:
    """All figures of one cell, as fractions.

    Args:
        predictions: what the method said.
        classes: names for the report.
        seen_sources: sources of real images that occur in training; others are "unseen real".
        official: also give the curve metrics as the official code computes them.

    Returns:
        A JSON object; a figure that has no images to stand on is None.
    """
    known, val = predictions.of(KNOWN), predictions.of(VAL)
    right = predictions.predicted == predictions.label
    return {
        "schema": SCHEMA,
        "metric_version": metrics.VERSION,
        "val_accuracy": _mean(right[val]),
        **closed_set(predictions.label[known], predictions.predicted[known], len(classes.known)),
        **real_images(predictions, right, known, seen_sources),
        "groups": groups(predictions, right, predictions.confidence, official),
        "variants": {
            name: groups(predictions, right, confidence, official) for name, confidence in predictions.variants.items()
        },
        "decisions": hard_decisions(predictions, right),
        "unknown_classes": [row for group in UNKNOWN_GROUPS for row in class_rows(predictions, group, classes)],
    }


def evaluate_stored(folder: Path, data: Mapping[str, Any], official: bool = False) -> Values:
    """The same from a cell's stored predictions and what its record says of the data."""
    unknown = {group: tuple(names) for group, names in data["unknown"].items()}
    classes = Classes(tuple(data["known"]), unknown)
    return evaluate(Predictions.load(folder), classes, frozenset(data["seen_sources"]), official)


def closed_set(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> Values:
    """Accuracy and macro averages on known test images, and the confusion matrix."""
    if not labels.size:
        return {"accuracy": None, "macro_recall": None, "macro_f1": None, "classes_present": 0, "confusion": []}
    confusion = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return {
        "accuracy": metrics.accuracy(labels, predicted),
        "macro_recall": metrics.macro_recall(labels, predicted),
        "macro_f1": metrics.macro_f1(labels, predicted),
        "classes_present": int(np.unique(labels).size),
        "confusion": confusion.reshape(num_classes, num_classes).tolist(),
    }


def real_images(predictions: Predictions, right: Bools, known: Bools, seen_sources: frozenset[str]) -> Values:
    """Accuracy on real images by source, on seen and unseen sources, and without the unseen ones.

    An image whose source is not known counts as neither seen nor unseen.
    """
    source = predictions.source
    real = known & (predictions.label == 0)
    seen = real & np.isin(source, np.array(sorted(seen_sources), dtype=np.str_))
    unseen = real & ~seen & (source != "")
    names = np.unique(source[real]).tolist()
    return {
        "accuracy_without_unseen_real": _mean(right[known & ~unseen]),
        "accuracy_seen_real": _mean(right[seen]),
        "accuracy_unseen_real": _mean(right[unseen]),
        "accuracy_by_real_source": {name: _mean(right[real & (source == name)]) for name in names if name},
    }


def groups(predictions: Predictions, right: Bools, confidence: Floats, official: bool) -> Values:
    """Curve metrics of known test images against every group of unknown ones, and against all."""
    known = predictions.of(KNOWN)
    masks = {group: predictions.of(group) for group in UNKNOWN_GROUPS}
    masks[ALL] = np.logical_or.reduce([*masks.values()])
    return {name: curve(confidence[known], right[known], confidence[mask], official) for name, mask in masks.items()}


def curve(known: Floats, correct: Bools, unknown: Floats, official: bool = False) -> Values:
    """Every metric that needs only these three arrays."""
    arrays = {"known": known, "correct": correct, "unknown": unknown}
    tables = [metrics.METRICS, OFFICIAL_METRICS] if official else [metrics.METRICS]
    wanted = [metric for table in tables for metric in table.values() if set(metric.needs) <= set(arrays)]
    empty = not (known.size and unknown.size)
    values = {
        metric.name: None if empty else metric.function(**{need: arrays[need] for need in metric.needs})
        for metric in wanted
    }
    return {"images": int(unknown.size), **values}


def hard_decisions(predictions: Predictions, right: Bools) -> Values:
    """Known or unknown at the threshold that accepts 95 % of the validation images.

    `k_plus_1_accuracy` counts a known image as right if it is accepted and named, an unknown one if it
    is rejected.
    """
    val, known = predictions.of(VAL), predictions.of(KNOWN)
    if not val.any():
        return {"threshold": None}
    threshold = metrics.threshold_accepting(predictions.confidence[val], ACCEPTED)
    accepted = predictions.confidence >= threshold
    unknown = ~(val | known)
    verdict = np.where(unknown, ~accepted, accepted & right)
    return {
        "threshold": threshold,
        "known_accepted": _mean(accepted[known]),
        "unknown_rejected": {group: _mean(~accepted[predictions.of(group)]) for group in UNKNOWN_GROUPS}
        | {ALL: _mean(~accepted[unknown])},
        "k_plus_1_accuracy": _mean(verdict[~val]),
    }


def class_rows(predictions: Predictions, group: str, classes: Classes) -> list[Values]:
    """One row an unknown class: AUC of all known test images against it, and what it is taken for."""
    known, member = predictions.confidence[predictions.of(KNOWN)], predictions.of(group)
    rows = []
    for label, name in enumerate(classes.unknown.get(group, ())):
        mask = member & (predictions.label == label)
        row = {"group": group, "class": name, "images": int(mask.sum())}
        rows.append(row | _against(known, predictions.confidence[mask], predictions.predicted[mask], classes))
    return rows


def _against(known: Floats, confidence: Floats, predicted: NDArray[np.int64], classes: Classes) -> Values:
    """The figures of one unknown class from its images' confidence and predicted classes."""
    if not (confidence.size and known.size):
        return {"auc": None, "mean_confidence": None, "taken_for": None, "taken_for_share": None}
    counts = np.bincount(predicted, minlength=len(classes.known))
    return {
        "auc": metrics.auc(known, confidence),
        "mean_confidence": float(confidence.mean()),
        "taken_for": classes.known[int(counts.argmax())],
        "taken_for_share": float(counts.max() / predicted.size),
    }


def _mean(flags: NDArray[Any]) -> float | None:
    return float(flags.mean()) if flags.size else None
