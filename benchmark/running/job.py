"""What is sent to a worker, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.cells.cell import Cell
from benchmark.cells.record import Status
from datasets.catalogue import DataRequest


@dataclass(frozen=True)
class PassedOver:
    """A cell that another run was computing.

    Attributes:
        written: time of the record that lay there, of an earlier try; "" if there was none.
    """

    cell: Cell
    written: str


@dataclass(frozen=True)
class Job:
    """A cell with what a worker needs to compute it."""

    cell: Cell
    data: DataRequest
    results: Path
    device: str
    curve: bool = False  # also predict the test images after every epoch; without influence on the weights
    released: Path | None = None  # folder of released weights, which the method takes instead of being trained
    passed_over: PassedOver | None = None  # what was found before; whoever has the cell in hand is waited for


@dataclass(frozen=True)
class Outcome:
    """What became of a cell."""

    cell: Cell
    status: Status
    seconds: float
    reason: str | None = None
    elsewhere: bool = False  # another run computed it
