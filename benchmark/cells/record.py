"""The record of a cell: what was computed, on what, by what, and what became of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict

from benchmark.cells.cell import Cell
from benchmark.cells.digests import digests
from benchmark.cells.files import plain, typed, write_json
from benchmark.cells.path import CELL
from benchmark.cells.presets import digest_of
from datasets.core.strict_json import read_json
from datasets.core.text import shown
from datasets.errors import UserError

SCHEMA = 2
WITH_DIGESTS = 2  # since which schema a record names its files and itself by digests
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
        files: SHA-256 of every file that was stored with it and that nothing rewrites, by its path in the folder.
        digest: SHA-256 of all the rest of the record; None in records of the first release.
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
    files: Mapping[str, str] = field(default_factory=dict)
    digest: str | None = None

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
        UserError: the file is damaged, names a place outside of the results, or comes from a newer release.
    """
    path = folder / CELL
    try:
        if not os.path.lexists(path):
            return None
        content = read_json(path)
        if content["schema"] > SCHEMA:
            needed = f"schema {content['schema']}, this one reads up to {SCHEMA}"
            raise UserError(f"{path} was written by a newer release ({needed}); update osma-bench")
        record = typed(Record, content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is damaged ({reason}); delete its folder to compute the cell again") from None
    if (unsafe := record.cell.path.unsafe) is not None:
        raise UserError(f"{path} is damaged ({shown(unsafe)} is no name of a folder); delete the cell's folder")
    return record


def write_record(folder: Path, record: Record) -> None:
    """Write the record, last of all: it names every other file of the folder by its digest."""
    content = plain(record)
    content["cell"].pop("needed_by")  # tells about a plan, not about the cell
    content["files"] = digests(folder)
    write_json(folder / CELL, content | {"digest": _digest(content)})


def is_as_written(folder: Path) -> bool:
    """Whether the digest that a record holds is that of the rest of it; true of those of the first release.

    Raises:
        OSError, ValueError: the file cannot be read.
    """
    content = read_json(folder / CELL)
    return content["schema"] < WITH_DIGESTS or content.get("digest") == _digest(content)


def _digest(content: Mapping[str, Any]) -> str:
    return digest_of({name: value for name, value in content.items() if name != "digest"})
