"""Check stored cells against data at hand: are lists, settings and pixels still those that they were computed on?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.cells.presets import CHANGED, load_preset
from benchmark.cells.record import Record, read_record
from datasets.catalogue import DataRequest
from datasets.errors import UserError
from datasets.types import Dataset


@dataclass(frozen=True)
class DataCheck:
    """What came of it.

    Attributes:
        compared: cells whose data are those at hand.
        faults: one line for every cell whose data are not.
        left: one line for all cells of a preset that cannot be compared, with the reason.
    """

    compared: int
    faults: tuple[str, ...]
    left: tuple[str, ...]


def check_data(folders: Iterable[Path], dataset: str, root: Path | None) -> DataCheck:
    """Compare the finished cells of a data set with its files, which are decoded where they have changed.

    Args:
        folders: cells, of whatever data sets.
        dataset, root: as of run_all.py.

    Raises:
        UserError: there is no such data set.
    """
    compared, faults, left = 0, list[str](), list[str]()
    for preset, cells in _by_preset(folders, dataset).items():
        if CHANGED in preset:
            left.append(f"{len(cells)} cells of {preset}: the sizes of their data are not kept")
            continue
        opened = DataRequest(dataset, root, load_preset(preset, dataset, {}).data).open()
        mine = [(folder, record) for folder, record in cells if record.cell.dataset == opened.name]
        old = [record for _, record in mine if _without_pixels(record, opened)]
        left += [f"{len(old)} cells of {preset}: computed before pixels were kept"] if old else []
        for folder, record in mine:
            if record.cell.fingerprint == opened.fingerprint:
                compared += 1
            elif not _without_pixels(record, opened):
                faults.append(f"{folder}: {_difference(record, opened)}; compute it again with run_all.py")
    return DataCheck(compared, tuple(faults), tuple(left))


def _by_preset(folders: Iterable[Path], dataset: str) -> dict[str, list[tuple[Path, Record]]]:
    """Finished cells that may be of the data set: a description gives its name inside."""
    described = dataset.endswith((".yaml", ".yml"))
    found: dict[str, list[tuple[Path, Record]]] = {}
    for folder in folders:
        try:
            record = read_record(folder)
        except UserError:  # told by `verify_cell`
            continue
        if record is not None and record.status == "done" and (described or record.cell.dataset == dataset):
            found.setdefault(record.cell.preset, []).append((folder, record))
    return found


def _without_pixels(record: Record, dataset: Dataset) -> bool:
    return dataset.pixels is not None and record.facts.pixels is None


def _difference(record: Record, dataset: Dataset) -> str:
    if record.facts.pixels != dataset.pixels:
        return "was computed on other pixels or labels than the data set gives now"
    return "was computed on other lists, settings or missing images than the data set gives now"
