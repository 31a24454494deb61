"""A cell: one method on one split with one seed, and everything that decides its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict

from benchmark.cells.path import CellPath
from benchmark.cells.presets import digest_of
from methods.core.key import row_key

PROTOCOL = 1  # raise when the same settings no longer mean the same comparison
RESULT_FREE = ("resident_megabytes", "save_every_seconds", "inference_batch")  # run settings without influence


@dataclass(frozen=True)
class Cell:
    """One row of the plan: everything that decides its result.

    Attributes:
        dataset, fingerprint: name and recipe hash of the data.
        preset: key of the preset, part of the folder name.
        method: plugin name; `variant` names changed settings.
        config: resolved settings of the method.
        run: resolved run settings.
        needs: keys of required methods and the hashes of their cells on the same split and seed.
        needed_by: for the display; who asked for a cell that the user did not.
        protocol: version of the rules under which it is computed.
        released: SHA-256 of the files of released weights, by name; empty if the method is trained.
    """

    dataset: str
    fingerprint: str
    preset: str
    method: str
    variant: str | None
    version: int
    split: str
    seed: int
    config: Mapping[str, Any]
    run: Mapping[str, Any]
    needs: Mapping[str, str] = field(default_factory=dict)
    needed_by: str | None = None
    protocol: int = PROTOCOL
    released: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """`name` or `name@variant`."""
        return row_key(self.method, self.variant)

    @property
    def path(self) -> CellPath:
        """Where it lies."""
        return CellPath(self.dataset, self.preset, self.key, self.split, self.seed)

    @property
    def title(self) -> str:
        return self.path.title

    @property
    def hash(self) -> str:
        """SHA-256 over all that may change the result; not over device, jobs or paths."""
        result = {"settings": self.settings, "split": self.split, "seed": self.seed, "needs": self.needs}
        result |= {"released": self.released} if self.released else {}
        return digest_of([self.protocol, self.fingerprint, self.method, result])

    @property
    def settings(self) -> dict[str, Any]:
        """What all cells of one row share."""
        run = {name: value for name, value in self.run.items() if name not in RESULT_FREE}
        return {"version": self.version, "config": self.config, "run": run}

    __pydantic_config__ = ConfigDict(extra="forbid")
