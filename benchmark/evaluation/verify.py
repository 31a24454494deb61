"""Check stored cells against themselves: do their hashes and their figures follow from what they hold?"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.cells.files import EVALUATION, plain
from benchmark.cells.record import Record, read_record
from benchmark.evaluation.cell import ANSWERS, answers_in, evaluate_cell, read_json
from benchmark.evaluation.parts import ALL
from benchmark.metrics.open_set import VERSION
from datasets.errors import UserError

TOLERANCE = 1e-12
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


def verify_cell(folder: Path) -> list[str]:
    """What is wrong with a cell folder, one line each; empty if all is well."""
    try:
        record = read_record(folder)
    except UserError as error:
        return [str(error)]
    if record is None:
        return [f"{folder}: holds no cell"]
    faults = []
    if record.cell.hash != record.hash:
        faults.append(f"{folder}: the hash does not follow from the stored settings")
    if Path(*folder.parts[-2:]) != record.cell.path.in_board:
        faults.append(f"{folder}: holds {record.cell.title}, not what its name says")
    if record.status == "done":
        try:
            faults += [f"{folder}: {fault}" for fault in _wrong_figures(folder, record)]
        except _UNREADABLE as error:
            faults.append(f"{folder}: cannot be evaluated ({type(error).__name__}: {error})")
    return faults


def _wrong_figures(folder: Path, record: Record) -> Iterator[str]:
    kind = answers_in(folder)
    absent = [] if kind is not None else [" or ".join(kind.FILE for kind in ANSWERS)]
    absent += [] if (folder / EVALUATION).is_file() else [EVALUATION]
    if kind is None or absent:
        yield f"{', '.join(absent)} is missing"
        return
    stored = read_json(folder)
    if stored["metric_version"] != VERSION:
        yield f"{EVALUATION} has metric version {stored['metric_version']}, not {VERSION}; evaluate it again"
        return
    official = "official_auc" in stored.get("unknown", {}).get(ALL, {}).get("figures", {})
    fresh = plain(evaluate_cell(folder, record.facts, official))
    for where, was, now in _differences(fresh, stored):
        yield f"{where} is {was} in {EVALUATION} and {now} from {kind.FILE}"


def _differences(fresh: Any, stored: Any, where: str = "") -> list[tuple[str, Any, Any]]:
    """Where two JSON values differ, as (path, stored, fresh)."""
    if isinstance(fresh, dict) and isinstance(stored, dict):
        keys = sorted(set(fresh) | set(stored))
        return [d for key in keys for d in _differences(fresh.get(key), stored.get(key), f"{where}.{key}".lstrip("."))]
    if isinstance(fresh, list) and isinstance(stored, list) and len(fresh) == len(stored):
        pairs = enumerate(zip(fresh, stored, strict=True))
        return [d for i, pair in pairs for d in _differences(*pair, f"{where}[{i}]")]
    if isinstance(fresh, float) and isinstance(stored, float):
        return [] if math.isclose(fresh, stored, rel_tol=0, abs_tol=TOLERANCE) else [(where, stored, fresh)]
    return [] if fresh == stored else [(where, stored, fresh)]
