"""Check stored cells: is every file what was stored, do hashes and figures follow from what they hold?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.cells.digests import changed_files, strange_entries
from benchmark.cells.files import EVALUATION, plain
from benchmark.cells.path import CELL, CELLS, is_committed
from benchmark.cells.record import Record, is_as_written, read_record
from benchmark.evaluation.cell import ANSWERS, SMALL_FILES, answers_in, evaluate_cell, read_json
from benchmark.evaluation.parts import ALL
from benchmark.metrics.open_set import VERSION
from datasets.errors import UserError

TOLERANCE = 1e-12
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)


def verify_cell(folder: Path) -> list[str]:
    """What is wrong with a cell folder, one line each; empty if all is well.

    A committed cell needs the small files alone: `submit` leaves the large ones behind.
    """
    elsewhere = next((place for place in (folder, folder.parent) if place.is_symlink()), None)
    if elsewhere is not None:
        return [f"{elsewhere}: is a link to {elsewhere.readlink()}; put the folder itself there"]
    try:
        record = read_record(folder) if folder.is_dir() else None
    except UserError as error:
        return [str(error)]
    if record is None:
        return [f"{folder}: holds no cell; take it away"]
    faults = [*_wrong_record(folder, record)]
    files = dict(_wrong_files(folder, record))
    if record.status == "done":
        faults += _wrong_answers(folder, record, files)
    return [*(f"{folder}: {fault}" for fault in faults), *(f"{folder}: {fault}" for fault in files.values())]


def _wrong_record(folder: Path, record: Record) -> Iterator[str]:
    if record.cell.hash != record.hash:
        yield "the hash does not follow from the stored settings"
    elif not is_as_written(folder):
        yield f"{CELL} was edited: its digest does not follow from the rest of it"
    path = record.cell.path
    place = Path(path.board, CELLS, path.in_board) if is_committed(folder) else path.in_results
    if Path(*folder.parts[-2:]) != path.in_board:
        yield f"holds {record.cell.title}, not what its name says"
    elif Path(*folder.parts[-len(place.parts) :]) != place:
        yield f"holds a cell of {path.dataset}, preset {path.preset}, not of its place"


def _wrong_files(folder: Path, record: Record) -> Iterator[tuple[str, str]]:
    """What cannot be opened at all, then what is not what was stored; names with faults."""
    committed = is_committed(folder)
    yield from strange_entries(folder)
    if record.digest is not None:
        yield from changed_files(folder, record.files, lambda name: name in SMALL_FILES or not committed)


def _wrong_answers(folder: Path, record: Record, files: dict[str, str]) -> list[str]:
    """Faults of the answers and the figures; takes those that say the same out of the faults of files."""
    kind = answers_in(folder)
    if kind is None and not any(kind.FILE in files and (folder / kind.FILE).is_symlink() for kind in ANSWERS):
        for kind_of in ANSWERS:
            files.pop(kind_of.FILE, None)
    try:
        return list(_wrong_figures(folder, record))
    except UserError as error:
        known = kind is not None and kind.FILE in files
        return [] if known else [str(error).removeprefix(f"{folder}/")]
    except _UNREADABLE as error:
        return [f"cannot be evaluated ({type(error).__name__}: {error})".splitlines()[0]]


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
