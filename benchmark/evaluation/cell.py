"""Everything that follows from what a cell stores, whatever kind of method it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.cells.store import PREDICTIONS
from benchmark.evaluation.cluster_cells import evaluate_clusterings
from benchmark.evaluation.curve import read_curve
from benchmark.evaluation.discovery import GROUPS_FILE, evaluate_groups
from benchmark.evaluation.evaluator import evaluate_stored


def evaluate_cell(folder: Path, data: Mapping[str, Any], official: bool = False) -> dict[str, Any]:
    """All figures of a finished cell, computed anew from its files without any training.

    Args:
        folder: of the cell.
        data: what its record says of the data.
        official: also give the curve metrics as the official code computes them.
    """
    if (folder / GROUPS_FILE).is_file():
        return evaluate_groups(folder, data)
    values = evaluate_stored(folder, data, official)
    return values | evaluate_clusterings(folder) | read_curve(folder)


def evidence(kind: str) -> str:
    """Name of the file that a cell's figures come from."""
    return GROUPS_FILE if kind == "discovery" else PREDICTIONS
