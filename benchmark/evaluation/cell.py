"""Everything that follows from what a cell stores, whatever kind of method it belongs to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmark.cells.arrays import damaged
from benchmark.cells.files import EVALUATION, HISTORY, ITERATIONS, typed
from benchmark.cells.path import CELL
from benchmark.cells.record import DataFacts, Record
from benchmark.evaluation.answers import Answers
from benchmark.evaluation.cluster_cells import evaluate_clusterings
from benchmark.evaluation.curve import CURVE, read_curve
from benchmark.evaluation.discovery import Groups
from benchmark.evaluation.figures import DiscoveryEvaluation, Evaluation
from benchmark.evaluation.predictions import Predictions
from benchmark.evaluation.upgrades import Json, upgraded
from benchmark.metrics.open_set import VERSION
from datasets.core.strict_json import read_json as read_strictly
from datasets.errors import UserError

ANSWERS: tuple[type[Answers], ...] = (Predictions, Groups)

# From which every number of a board follows; models, features and scores stay on the machine that made them.
SMALL_FILES = (CELL, EVALUATION, HISTORY, CURVE, ITERATIONS, *(kind.FILE for kind in ANSWERS))

Figures = Evaluation | DiscoveryEvaluation


def answers_in(folder: Path) -> type[Answers] | None:
    """What kind of answers a cell holds; None for one that is not finished, or that has lost them."""
    return next((kind for kind in ANSWERS if (folder / kind.FILE).is_file()), None)


def load_answers(folder: Path) -> Answers:
    """What a finished cell yields.

    Raises:
        UserError: the file is not there.
    """
    kind = answers_in(folder)
    if kind is None:
        names = " or ".join(kind.FILE for kind in ANSWERS)
        raise UserError(f"{folder} has lost its {names}; delete the folder to compute the cell again")
    return kind.load(folder)


def evaluate_cell(folder: Path, data: DataFacts, official: bool = False) -> Figures:
    """All figures of a finished cell, computed anew from its files without any training.

    Args:
        folder: of the cell.
        data: what its record says of the data.
        official: also give the curve metrics as the official code computes them.

    Raises:
        UserError: its answers are not there, are damaged, or are not of these data.
    """
    answers = load_answers(folder)
    if (misfit := answers.misfit(data)) is not None:
        raise damaged(folder / answers.FILE, misfit)
    figures = answers.evaluate(data, official)
    if isinstance(answers, Predictions) and isinstance(figures, Evaluation):
        clusterings = evaluate_clusterings(folder, answers)
        return replace(figures, clusterings=clusterings, epochs=read_curve(folder))
    return figures


def read_json(folder: Path) -> Json:
    """The stored figures as today's JSON.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: there are none, they are damaged, or of a newer
            release.
    """
    return upgraded(read_strictly(folder / EVALUATION))


def stored_evaluation(folder: Path) -> Figures | None:
    """The stored figures; None where these are missing, unreadable or of other definitions."""
    try:
        content = read_json(folder)
        kind: type[Figures] = DiscoveryEvaluation if "known_clusters" in content else Evaluation
        figures = typed(kind, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return figures if figures.metric_version == VERSION else None


def evaluation_of(folder: Path, record: Record) -> Figures:
    """The stored figures of a finished cell; fresh ones where these cannot be used.

    Raises:
        UserError: the figures are not there and neither are the answers.
    """
    return stored_evaluation(folder) or evaluate_cell(folder, record.facts)
