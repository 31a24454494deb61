"""From what a user asks for to the cells of a run, required ones first."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from benchmark.cells.cell import Cell
from benchmark.cells.path import CellPath
from benchmark.cells.presets import Overrides, Preset, custom_name
from datasets.core.text import did_you_mean
from datasets.errors import UserError
from methods.core.key import row_key
from methods.core.registry import Choice, Registry
from methods.core.released import TakesReleased, fingerprints
from methods.core.settings import RunSettings

PUBLISHED = "paper"  # the preset that changes no setting of a method


def choose_methods(registry: Registry, keys: Sequence[str], overrides: Overrides, variant: str | None) -> list[Request]:
    """The methods to run with their changed settings and the name under which these are kept.

    Raises:
        UserError: an unknown method, variant or setting owner.
    """
    owners = ["data", "run", *registry]
    for owner in overrides:
        if owner not in owners:
            near = did_you_mean(owner, owners)
            raise UserError(f"--set {owner}.…: '{owner}' is neither a method, nor 'data', nor 'run'{near}")
    requests = [_request(registry.choose(key), overrides, variant) for key in keys]
    unused = set(overrides) - {"data", "run"} - {request.choice.plugin.name for request in requests}
    if unused:
        raise UserError(f"--set {min(unused)}.… changes a method that is not asked for; add it to --methods")
    return requests


def _request(choice: Choice, overrides: Overrides, variant: str | None) -> Request:
    changes = choice.plugin.Config.under_present_names(overrides.get(choice.plugin.name, {}))
    if not changes:
        return Request(choice, label=choice.variant)
    if variant in choice.plugin.VARIANTS:
        raise UserError(f"--variant {variant} is a variant that {choice.plugin.name} declares; choose another name")
    return Request(choice, changes, "-".join(filter(None, [choice.variant, variant or custom_name(changes)])))


@dataclass(frozen=True)
class Request:
    """A method that was asked for, with changed settings and their name, or with a folder of released weights."""

    choice: Choice
    changes: Mapping[str, Any] = field(default_factory=dict)
    label: str | None = None
    released: Path | None = None

    @property
    def key(self) -> str:
        return row_key(self.choice.plugin.name, self.label)

    def config(self, preset: str) -> Any:
        """The settings; released weights were made with the published ones, whatever the preset."""
        return self.choice.config(preset if self.released is None else PUBLISHED, self.changes)

    def released_files(self, split: str) -> dict[str, str]:
        """SHA-256 of the files that a cell is made from, by name; empty if it is trained.

        Raises:
            UserError: there are no released weights for this split.
        """
        if self.released is None:
            return {}
        plugin = cast("type[TakesReleased]", self.choice.plugin)
        return fingerprints(plugin.released_files(self.released, split), self.released)


class Planner:
    """Turns requests into cells, required methods first."""

    def __init__(self, registry: Registry, dataset: str, fingerprint: str, preset: Preset) -> None:
        self._registry, self._dataset, self._fingerprint, self._preset = registry, dataset, fingerprint, preset
        self._run = RunSettings.model_dump(preset.run)

    def plan(self, requests: Iterable[Request], splits: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
        """All cells, each once, required ones before those that need them.

        Raises:
            UserError: two requests would share a folder, or methods need one another in a circle.
        """
        wanted: dict[str, Request] = {}
        for request in requests:
            if request.key in wanted:
                raise UserError(f"method '{request.key}' is asked for twice")
            wanted[request.key] = request
        cells: dict[CellPath, Cell] = {}
        for split, seed, request in itertools.product(splits, seeds, wanted.values()):
            for cell in self._with_needs(request, split, seed, wanted, None, ()):
                cells.setdefault(cell.path, cell)
        return list(cells.values())

    def _with_needs(
        self,
        request: Request,
        split: str,
        seed: int,
        wanted: Mapping[str, Request],
        needed_by: str | None,
        above: tuple[str, ...],
    ) -> Iterator[Cell]:
        plugin = request.choice.plugin
        if request.key in above:
            raise UserError(f"methods need one another in a circle: {' -> '.join([*above, request.key])}")
        config = request.config(self._preset.name)
        needs: dict[str, str] = {}
        for key in plugin.needs(config):
            # A required method runs under its own settings, never under a user's changes of another row.
            choice = self._registry.choose(key)
            required = Request(choice, label=choice.variant)
            for cell in self._with_needs(required, split, seed, wanted, request.key, (*above, request.key)):
                yield cell
                if cell.key == key:
                    needs[key] = cell.hash
        yield Cell(
            self._dataset, self._fingerprint, self._preset.key, plugin.name, request.label, plugin.version,
            split, seed, config.model_dump(mode="json"), self._run, needs,
            needed_by if request.key not in wanted else None, released=request.released_files(split),
        )  # fmt: skip
