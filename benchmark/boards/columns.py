"""The figures of a cell that boards show: their keys in files, their headings, and how they are read off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from benchmark.cells.record import Cost
from benchmark.evaluation.cell import Figures
from benchmark.evaluation.figures import GROUPS, Curve, Evaluation
from benchmark.metrics.decisions import DECISION_METRICS
from benchmark.metrics.open_set import METRICS

GROUP_TITLES = {"seed": "Unseen seed", "arch": "Unseen architecture", "dataset": "Unseen data", "all": "Unseen all"}
SHOWN = ("auc", "oscr")  # metrics of every group of unknown images
COSTS = tuple(field.name for field in fields(Cost))
REJECTED = "unknown_rejected"


@dataclass(frozen=True)
class Column:
    """A figure as it is called in files and in headings."""

    key: str
    heading: str


def closed_set_column(metric: str) -> Column:
    return Column(metric, METRICS[metric].heading)


def group_column(metric: str, group: str) -> Column:
    """A metric of known against unknown images of one group."""
    return Column(f"{metric}_unseen_{group}", f"{GROUP_TITLES[group]} {METRICS[metric].heading}")


def rejected_column(group: str) -> Column:
    metric = DECISION_METRICS[REJECTED]
    return Column(f"rejected_unseen_{group}", f"{GROUP_TITLES[group]} {metric.heading.removeprefix('Unknown ')}")


ACCURACY, MACRO_RECALL = closed_set_column("accuracy"), closed_set_column("macro_recall")
SEEN_REAL = Column("accuracy_seen_real", "Real, seen sources ↑")
UNSEEN_REAL = Column("accuracy_unseen_real", "Real, unseen sources ↑")
VAL_ACCURACY = Column("val_accuracy", "Validation accuracy ↑")
BY_GROUP = {(metric, group): group_column(metric, group) for group in GROUPS for metric in SHOWN}
REJECTIONS = {group: rejected_column(group) for group in GROUPS}
KNOWN_ACCEPTED = Column("known_accepted", DECISION_METRICS["known_accepted"].heading)
K_PLUS_1 = Column("k_plus_1_accuracy", DECISION_METRICS["k_plus_1_accuracy"].heading)

OPEN_SET = (ACCURACY, *BY_GROUP.values())
DECISIONS = (KNOWN_ACCEPTED, *REJECTIONS.values(), K_PLUS_1)
FIGURES: tuple[str, ...] = tuple(
    column.key
    for column in (ACCURACY, MACRO_RECALL, SEEN_REAL, UNSEEN_REAL, VAL_ACCURACY, *BY_GROUP.values(), *DECISIONS)
)
COST_COLUMNS: tuple[str, ...] = tuple(f"cost_{name}" for name in COSTS)


def figures_of(evaluation: Figures | None, unknown: Mapping[str, Curve] | None = None) -> dict[str, float]:
    """The figures of one cell by key, as fractions; those that it does not have are left out.

    Args:
        evaluation: of the cell; None for one that is not finished. A discovery method has none of these figures.
        unknown: the curves to show in place of the method's own, such as those of another confidence.
    """
    if not isinstance(evaluation, Evaluation):
        return {}
    found = dict(_known(evaluation))
    for (metric, group), column in BY_GROUP.items():
        curve = (unknown or evaluation.unknown)[group]
        found[column.key] = curve.figures.get(metric)
    if evaluation.decisions is not None:
        rejected = evaluation.decisions.unknown_rejected
        found |= {column.key: rejected.get(group) for group, column in REJECTIONS.items()}
        found[KNOWN_ACCEPTED.key] = evaluation.decisions.known_accepted
        found[K_PLUS_1.key] = evaluation.decisions.k_plus_1_accuracy
    return {key: value for key, value in found.items() if value is not None}


def _known(evaluation: Evaluation) -> Iterator[tuple[str, float | None]]:
    if evaluation.closed_set is not None:
        for column in (ACCURACY, MACRO_RECALL):
            yield column.key, evaluation.closed_set.figures[column.key]
    yield SEEN_REAL.key, evaluation.real.seen
    yield UNSEEN_REAL.key, evaluation.real.unseen
    yield VAL_ACCURACY.key, evaluation.val_accuracy


def costs_of(cost: Cost | None) -> dict[str, float]:
    """What a cell took, by key; what does not apply is left out."""
    found = {f"cost_{name}": getattr(cost, name, None) for name in COSTS}
    return {key: value for key, value in found.items() if value is not None}
