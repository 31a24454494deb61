"""Cells: one method on one split with one seed. What identifies them, and in which order they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.config import Overrides, Preset, custom_name, digest_of
from datasets.errors import UserError
from methods.core.registry import Choice, Registry
from methods.core.settings import RunSettings

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

    @property
    def key(self) -> str:
        """`name` or `name@variant`."""
        return f"{self.method}@{self.variant}" if self.variant else self.method

    @property
    def path(self) -> Path:
        """Folder below the results folder."""
        return Path(self.dataset, self.preset, self.key, f"{self.split}-seed{self.seed}")

    @property
    def title(self) -> str:
        return f"{self.key}  {self.split}  seed {self.seed}"

    @property
    def hash(self) -> str:
        """SHA-256 over all that may change the result; not over device, jobs or paths."""
        run = {name: value for name, value in self.run.items() if name not in RESULT_FREE}
        return digest_of(
            [PROTOCOL, self.fingerprint, self.method, self.version, self.split, self.seed, self.config, run, self.needs]
        )

    def sibling(self, key: str) -> Path:
        """Folder of another method's cell on the same split and seed."""
        return self.path.parents[1] / key / self.path.name


def choose_methods(registry: Registry, keys: Sequence[str], overrides: Overrides, variant: str | None) -> list[Request]:
    """The methods to run with their changed settings and the name under which these are kept.

    Raises:
        UserError: an unknown method, variant or setting owner.
    """
    strange = set(overrides) - {"data", "run"} - set(registry)
    if strange:
        owner = min(strange)
        raise UserError(f"--set {owner}.…: '{owner}' is neither a method, nor 'data', nor 'run'")
    requests = []
    for key in keys:
        choice = registry.choose(key)
        changes = overrides.get(choice.plugin.name, {})
        label = choice.variant
        if changes:
            label = "-".join(filter(None, [choice.variant, variant or custom_name(changes)]))
        requests.append(Request(choice, changes, label))
    unused = set(overrides) - {"data", "run"} - {request.choice.plugin.name for request in requests}
    if unused:
        raise UserError(f"--set {min(unused)}.… changes a method that is not asked for; add it to --methods")
    return requests


@dataclass(frozen=True)
class Request:
    """A method that was asked for, with changed settings and their name."""

    choice: Choice
    changes: Mapping[str, Any] = field(default_factory=dict)
    label: str | None = None

    @property
    def key(self) -> str:
        return f"{self.choice.plugin.name}@{self.label}" if self.label else self.choice.plugin.name


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
        cells: dict[Path, Cell] = {}
        for split in splits:
            for seed in seeds:
                for request in wanted.values():
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
        config = request.choice.config(self._preset.name, request.changes)
        needs: dict[str, str] = {}
        for key in plugin.needs(config):
            # A required method runs under its own settings, never under a user's changes of another row.
            required = Request(self._registry.choose(key), label=self._registry.choose(key).variant)
            for cell in self._with_needs(required, split, seed, wanted, request.key, (*above, request.key)):
                yield cell
                if cell.key == key:
                    needs[key] = cell.hash
        yield Cell(
            self._dataset, self._fingerprint, self._preset.key, plugin.name, request.label, plugin.version,
            split, seed, config.model_dump(mode="json"), self._run, needs,
            needed_by if request.key not in wanted else None,
        )  # fmt: skip
