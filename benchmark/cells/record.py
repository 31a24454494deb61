"""The record of a cell: what was computed, on what, by what, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict

from benchmark.cells.cell import Cell
from benchmark.cells.files import typed, write_json
from benchmark.cells.path import CELL
from datasets.errors import UserError

SCHEMA = 1
Status = Literal["done", "failed", "skipped"]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class DataFacts:
    """What a finished cell remembers of its data, enough to evaluate it again without them.

    Attributes:
        title: of the data set; `coverage` is the share of its images that were there, in (0, 1].
        splits: that boards average over.
        known: class names in the order of labels; `unknown` those of every group of unknown classes.
        seen_sources: sources of real images that occur in training.
        images: counts by role and group.
        pixels: digest of labels and pixels that are a part of the fingerprint; None where there is none, and in
            records of the first release.
    """

    title: str
    coverage: float
    splits: tuple[str, ...]
    known: tuple[str, ...]
    unknown: Mapping[str, tuple[str, ...]]
    seen_sources: tuple[str, ...]
    images: Mapping[str, int] = field(default_factory=dict)
    pixels: str | None = None

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class Cost:
    """What a cell took; None where it does not apply: released weights are not trained.

    Attributes:
        parameters: weights that inference uses.
        train_seconds: of wall clock, without watching.
        images_per_second: that were predicted.
        peak_memory: in bytes.
    """

    parameters: int | None = None
    train_seconds: float | None = None
    images_per_second: float | None = None
    peak_memory: int | None = None

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class Provenance:
    """When and with what a cell was computed: what a reader needs to compute it again."""

    finished: str = ""  # ISO 8601, UTC
    commit: str | None = None
    dirty: bool | None = None
    python: str | None = None
    torch: str | None = None
    numpy: str | None = None
    platform: str | None = None
    device: str | None = None
    threads: int | None = None

    __pydantic_config__ = _STRICT


def _none_if_empty(value: Any) -> Any:
    return None if value == {} else value


@dataclass(frozen=True)
class Record:
    """The content of a cell.json.

    Attributes:
        cell: the cell that was computed.
        hash: of that cell, as it was computed under.
        status: "done", "failed" or "skipped"; the last two carry a `reason`.
        kind, title, paper: of the method, so that boards need not import it.
        tables: leaderboard tables that show the row; empty: those of its kind.
        data, cost: of a finished cell.
        made_with: time, commit, versions, device, threads.
    """

    cell: Cell
    hash: str
    status: Status
    kind: str
    title: str
    paper: str
    tables: tuple[str, ...] = ()
    reason: str | None = None
    data: Annotated[DataFacts | None, BeforeValidator(_none_if_empty)] = None
    cost: Annotated[Cost | None, BeforeValidator(_none_if_empty)] = None
    made_with: Provenance = Provenance()
    schema: int = SCHEMA

    __pydantic_config__ = _STRICT

    @property
    def facts(self) -> DataFacts:
        """What a finished cell remembers of its data.

        Raises:
            UserError: the record has lost it.
        """
        if self.data is None:
            raise UserError(f"the record of {self.cell.title} says nothing of its data; compute the cell again")
        return self.data


def read_record(folder: Path) -> Record | None:
    """The record of a cell folder, or None if there is none.

    Raises:
        UserError: the file is damaged or comes from a newer release.
    """
    path = folder / CELL
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] > SCHEMA:
            raise UserError(f"{path} was written by a newer release (schema {content['schema']}); update osma-bench")
        return typed(Record, content)
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is damaged ({reason}); delete its folder to compute the cell again") from None


def write_record(folder: Path, record: Record) -> None:
    content = asdict(record)
    content["cell"].pop("needed_by")  # tells about a plan, not about the cell
    write_json(folder / CELL, content)
