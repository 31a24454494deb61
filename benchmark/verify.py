"""Check stored cells against themselves: do their hashes and their figures follow from what they hold?"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from benchmark.cells import Cell
from benchmark.evaluator import evaluate
from benchmark.execute import names_of
from benchmark.judgements import Judgements
from benchmark.store import EVALUATION, PREDICTIONS, Record, plain

TOLERANCE = 1e-12


def verify_cell(folder: Path, record: Record) -> list[str]:
    """What is wrong with a cell folder, one line each; empty if all is well."""
    faults = []
    cell = Cell(**record.cell)
    if cell.hash != record.hash:
        faults.append(f"{folder}: the hash does not follow from the stored settings")
    if (record.key, f"{record.split}-seed{record.seed}") != (folder.parent.name, folder.name):
        faults.append(f"{folder}: holds {record.key} {record.split} seed {record.seed}, not what its name says")
    if record.status == "done":
        faults += _verify_figures(folder, record)
    return faults


def _verify_figures(folder: Path, record: Record) -> list[str]:
    absent = [name for name in (PREDICTIONS, EVALUATION) if not (folder / name).is_file()]
    if absent:
        return [f"{folder}: {', '.join(absent)} is missing"]
    stored = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
    official = "official_auc" in stored["groups"]["all"]
    fresh = evaluate(Judgements.load(folder), *names_of(record.data), official=official)
    return [
        f"{folder}: {where} is {was} in {EVALUATION} and {now} from {PREDICTIONS}"
        for where, was, now in _differences(plain(fresh), stored)
    ]


def _differences(fresh: Any, stored: Any, where: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(fresh, dict) and isinstance(stored, dict):
        keys = sorted(set(fresh) | set(stored))
        return [d for key in keys for d in _differences(fresh.get(key), stored.get(key), f"{where}.{key}".lstrip("."))]
    if isinstance(fresh, list) and isinstance(stored, list) and len(fresh) == len(stored):
        return [
            d for i, pair in enumerate(zip(fresh, stored, strict=True)) for d in _differences(*pair, f"{where}[{i}]")
        ]
    if isinstance(fresh, float) and isinstance(stored, float):
        return [] if math.isclose(fresh, stored, rel_tol=0, abs_tol=TOLERANCE) else [(where, stored, fresh)]
    return [] if fresh == stored else [(where, stored, fresh)]
