"""Methods find themselves: every file in methods/ is one, entry points and plugin folders add more."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from datasets.core.text import did_you_mean, shortened
from datasets.errors import UserError
from methods.core.key import SEPARATOR, parse_key, row_key
from methods.core.method import Plugin
from methods.core.settings import PRESET_NAMES, unknown_preset, validated

ENTRY_POINTS = "osma_bench.methods"
FOLDERS_VARIABLE = "OSMA_BENCH_PLUGINS"  # further folders of plugin files, separated like PATH
METHODS_FOLDER = Path(__file__).parents[1]

P = TypeVar("P", bound=type[Plugin])


def register(name: str) -> Callable[[P], P]:
    """Class decorator that makes a plugin known under a name.

    Raises:
        ValueError: the plugin changes settings for a preset that does not exist.
    """

    def name_it(plugin: P) -> P:
        for preset in plugin.PRESETS:
            if preset not in PRESET_NAMES:
                raise ValueError(f"PRESETS of {plugin.__name__}: {unknown_preset(preset)}")
        plugin.name = name
        return plugin

    return name_it


@dataclass(frozen=True)
class Broken:
    """A plugin file that could not be imported; the other methods do not suffer."""

    name: str
    path: str
    reason: str
    trace: str


@dataclass(frozen=True)
class Choice:
    """A method with a named variant of its settings, written `name` or `name@variant`."""

    plugin: type[Plugin]
    variant: str | None = None

    @property
    def key(self) -> str:
        return row_key(self.plugin.name, self.variant)

    def config(self, preset: str, overrides: Mapping[str, Any] | None = None) -> Any:
        """The settings: defaults, then preset, then variant, then overrides; each may use former names.

        Raises:
            UserError: there is no such preset, or a setting does not exist or has an impossible value.
        """
        if preset not in PRESET_NAMES:
            raise UserError(unknown_preset(preset))
        variant = {} if self.variant is None else self.plugin.VARIANTS.get(self.variant, {})
        changes: dict[str, Any] = {}
        for layer in (self.plugin.PRESETS.get(preset, {}), variant, overrides or {}):
            changes |= self.plugin.Config.under_present_names(layer)
        for name in self.plugin.Config.gone().intersection(changes):
            raise UserError(f"setting {self.plugin.name}.{name} never acted and is gone; leave it out")
        return validated(self.plugin.Config, changes, self.plugin.name)


class Registry(Mapping[str, type[Plugin]]):
    """All plugins by name, and those that could not be imported."""

    def __init__(self, plugins: Mapping[str, type[Plugin]], broken: Mapping[str, Broken]) -> None:
        self._plugins = dict(sorted(plugins.items()))
        self.broken = dict(broken)

    def __getitem__(self, name: str) -> type[Plugin]:
        if name in self._plugins:
            return self._plugins[name]
        if name in self.broken:
            broken = self.broken[name]
            raise UserError(f"method '{name}' could not be imported from {broken.path}: {broken.reason}")
        raise UserError(
            f"unknown method '{shortened(name)}'{did_you_mean(name, self)}  (all {len(self)}: python run_all.py --list)"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._plugins)

    def __len__(self) -> int:
        return len(self._plugins)

    def __contains__(self, name: object) -> bool:
        return name in self._plugins

    def choose(self, key: str) -> Choice:
        """The method and variant written `name` or `name@variant`; a variant must have been declared.

        Raises:
            UserError: no such method or variant.
        """
        name, variant = parse_key(key)
        plugin = self[name]
        if variant is None and key != name:
            raise UserError(f"'{key}' names no variant; write {name}, or {name}{SEPARATOR}VARIANT")
        if variant and variant not in plugin.VARIANTS:
            known, hint = ", ".join(plugin.VARIANTS) or "none", did_you_mean(variant, plugin.VARIANTS)
            raise UserError(f"method '{name}' has no variant '{variant}'{hint}; it has {known}")
        return Choice(plugin, variant)

    @property
    def rows(self) -> list[str]:
        """Keys of a comparison of everything: every method, then the variants that stand beside it."""
        plugins = self._plugins.items()
        return [key for name, plugin in plugins for key in (name, *(row_key(name, word) for word in plugin.STANDING))]

    @cached_property
    def ablations(self) -> dict[str, tuple[str, ...]]:
        """Every declared study by name."""
        return {name: rows for plugin in self._plugins.values() for name, rows in plugin.ABLATIONS.items()}


def load_registry() -> Registry:
    """Import every plugin there is.

    Raises:
        UserError: two files register the same name, or a plugin folder is not there.
    """
    plugins: dict[str, type[Plugin]] = {}
    origin: dict[str, str] = {}
    broken: dict[str, Broken] = {}
    for name, path, load in _candidates():
        try:
            found = list(_plugins_of(load()))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's file raises must not stop the others
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            broken[name] = Broken(name, path, reason, traceback.format_exc())
            continue
        for plugin in found:
            if plugin.name in plugins and plugins[plugin.name] is not plugin:
                both = f"{origin[plugin.name]} and {path}"
                raise UserError(f"two files register the method '{plugin.name}': {both}; rename one")
            plugins[plugin.name], origin[plugin.name] = plugin, path
    return Registry(plugins, broken)


def _candidates() -> Iterator[tuple[str, str, Callable[[], ModuleType]]]:
    for path in _files(METHODS_FOLDER):
        yield path.stem, str(path), lambda path=path: importlib.import_module(f"methods.{path.stem}")  # type: ignore[misc]
    for folder in _plugin_folders():
        for path in _files(folder):
            yield path.stem, str(path), lambda path=path: _import_file(path)  # type: ignore[misc]
    for point in entry_points(group=ENTRY_POINTS):
        yield point.name, point.value, lambda point=point: importlib.import_module(point.module)  # type: ignore[misc]


def _plugin_folders() -> list[Path]:
    folders = [Path(folder) for folder in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if folder]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{FOLDERS_VARIABLE} names {folder}, which is no folder; correct the variable or unset it")
    return folders


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if not path.stem.startswith("_"))


def _import_file(path: Path) -> ModuleType:
    name = f"osma_bench_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _plugins_of(module: ModuleType) -> Iterator[type[Plugin]]:
    for value in vars(module).values():
        registered = isinstance(value, type) and issubclass(value, Plugin) and "name" in vars(value)
        if registered and value.__module__ == module.__name__:
            yield value
