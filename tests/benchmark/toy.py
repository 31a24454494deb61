"""A data set of a few textures that opens in milliseconds, in any process, and requests and cells on it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.cells.cell import Cell
from benchmark.cells.plan import Planner, choose_methods
from benchmark.cells.presets import Overrides, load_preset
from benchmark.running.runner import Execution
from datasets.catalogue import DataRequest
from datasets.errors import UserError
from datasets.settings import DataSettings
from datasets.types import Dataset, ImageSet, Pixels, Split
from methods.core import registry as registry_module
from methods.core.registry import Registry

SIDE = 32
PLUGINS = Path(__file__).parent / "plugins"
KNOWN = {"split1": ("real", "dots", "bars", "rings"), "split2": ("real", "dots2", "bars", "checks")}
UNKNOWN = {
    "split1": {"seed": ("dots2",), "arch": ("waves", "checks"), "dataset": ("grids",)},
    "split2": {"seed": ("dots",), "arch": ("waves", "rings"), "dataset": ("grids",)},
}
EXTRA = "calibration"
SOURCES = ("meadow", "harbour")  # of real images
UNSEEN_SOURCE = "desert"  # in the test set only
SIZES = {"train": 10, "val": 6, "test": 6}


class Toy(Dataset):
    """Noise with a pattern a class; real images have none."""

    name = "toy"
    title = "toy (noise with planted patterns)"
    coverage = 1.0

    def __init__(self, settings: DataSettings) -> None:
        self.settings = settings

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.settings.model_dump_json().encode()).hexdigest()

    @property
    def split_names(self) -> tuple[str, ...]:
        return tuple(KNOWN)

    @property
    def extra_splits(self) -> tuple[str, ...]:
        return (EXTRA,)

    def split(self, name: str) -> Split:
        chosen = "split1" if name == EXTRA else name
        if chosen not in KNOWN:
            raise UserError(f"toy has no split '{name}'")
        train, val, test = (self._images(KNOWN[chosen], role) for role in SIZES)
        unknown = {group: self._images(names, "test") for group, names in UNKNOWN[chosen].items()}
        return Split(name, train, val, test, unknown)

    def _images(self, classes: tuple[str, ...], role: str) -> ImageSet:
        count = min(SIZES[role], getattr(self.settings, f"{role}_per_class") or SIZES[role])
        pixels = np.concatenate([self._textures[name, role][:count] for name in classes])
        labels = np.repeat(np.arange(len(classes)), count)
        ids = np.array([f"{name}/{role}/{number}" for name in classes for number in range(count)])
        sources = np.array([source for name in classes for source in _sources(name, role, count)])
        return ImageSet(pixels, np.arange(len(labels)), labels, classes, ids, sources)

    @cached_property
    def _textures(self) -> dict[tuple[str, str], Pixels]:
        names = dict.fromkeys([*KNOWN["split1"], *KNOWN["split2"], "waves", "grids"])
        return {(name, role): _textures(name, role, SIZES[role]) for name in names for role in SIZES}


def _textures(name: str, role: str, count: int) -> Pixels:
    rng = np.random.default_rng(zlib.crc32(f"{name} {role}".encode()))
    pattern = np.random.default_rng(zlib.crc32(name.encode())).choice([-15.0, 15.0], (SIDE, SIDE, 1))
    noisy = 128 + 40 * rng.standard_normal((count, SIDE, SIDE, 3)) + (0 if name == "real" else pattern)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _sources(name: str, role: str, count: int) -> Iterator[str]:
    origins = (*SOURCES, UNSEEN_SOURCE) if role == "test" else SOURCES
    yield from (origins[number % len(origins)] if name == "real" else name for number in range(count))


class ToyRequest(DataRequest):
    """A request that every process answers with the toy data."""

    def open(self) -> Dataset:
        return Toy(self.settings)


def toy_request(**settings: Any) -> ToyRequest:
    return ToyRequest("toy", None, DataSettings(image_size=SIDE, **settings))


def stub_plugins(patch: pytest.MonkeyPatch) -> Registry:
    """A registry of the plugins beside this file and none of the repository's."""
    patch.setattr(registry_module, "METHODS_FOLDER", PLUGINS / "none")
    patch.setenv(registry_module.FOLDERS_VARIABLE, str(PLUGINS))
    return registry_module.load_registry()


def execution(results: Path, jobs: int = 1, **options: Any) -> Execution:
    """How to run cells on the toy data."""
    return Execution(toy_request(), results, jobs=jobs, **options)


def planned(
    registry: Registry,
    *keys: str,
    splits: tuple[str, ...] = ("split1", "split2"),
    seeds: tuple[int, ...] = (0,),
    overrides: Overrides | None = None,
    variant: str | None = None,
    fingerprint: str | None = None,
) -> list[Cell]:
    """The cells of some methods on the toy data at preset smoke."""
    changes = overrides or {}
    preset = load_preset("smoke", "toy", changes, variant)
    toy = toy_request().open()
    planner = Planner(registry, toy.name, fingerprint or toy.fingerprint, preset)
    return planner.plan(choose_methods(registry, keys, changes, variant), splits, seeds)


@contextmanager
def refused(text: str) -> Iterator[None]:
    """The block must raise a user's mistake whose one line holds the text."""
    with pytest.raises(UserError) as caught:
        yield
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
