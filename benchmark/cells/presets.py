"""Presets and `--set`: where the settings of data, runs and methods come from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from datasets.core.strict_yaml import yaml_value
from datasets.core.text import shortened
from datasets.errors import UserError
from datasets.settings import DataSettings
from methods.core.settings import RunSettings, unknown_preset, validated

FOLDER = Path(__file__).parents[1] / "presets"
CUSTOM = "custom-"
CHANGED = "~"  # stands between a preset and the name of what was changed in its data or run settings
_POWER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")  # YAML reads 1e-3 as text
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")  # safe in a folder name everywhere

Overrides = dict[str, dict[str, Any]]  # owner ("data", "run" or a method) -> setting -> value


@dataclass(frozen=True)
class Preset:
    """Data size and run settings by name; methods read their own part by the same name.

    `key` differs from `name` when data or run settings were changed: such results stand apart.
    """

    name: str
    key: str
    data: DataSettings
    run: RunSettings


def preset_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_preset(name: str, dataset: str, overrides: Overrides, label: str | None = None) -> Preset:
    """The preset for a data set with `--set data.*` and `--set run.*` applied.

    Raises:
        UserError: no such preset, or a setting does not exist or has an impossible value.
    """
    if name not in preset_names():
        raise UserError(unknown_preset(name))
    if label is not None:
        _check_label(label, overrides)
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    data = {**content["data"]["default"], **content["data"].get(dataset, {}), **overrides.get("data", {})}
    run = {**content.get("run", {}), **overrides.get("run", {})}
    changed = {owner: overrides[owner] for owner in ("data", "run") if overrides.get(owner)}
    key = f"{name}{CHANGED}{label or custom_name(changed)}" if changed else name
    return Preset(name, key, validated(DataSettings, data, "data"), validated(RunSettings, run, "run"))


def _check_label(label: str, overrides: Overrides) -> None:
    if not overrides:
        raise UserError(f"--variant {label} names what --set changes; add --set OWNER.KEY=VALUE")
    if not _NAME.fullmatch(label):
        allowed = "letters, digits and . _ + - and start with a letter or digit, 100 at most"
        raise UserError(f"--variant {shortened(label)}: use {allowed}")


def parse_overrides(items: Sequence[str]) -> Overrides:
    """`--set OWNER.KEY=VALUE` items; values are read as YAML.

    Raises:
        UserError: an item has another form.
    """
    overrides: Overrides = {}
    for item in items:
        target, equals, value = item.partition("=")
        owner, dot, key = target.partition(".")
        if not (equals and dot and owner and key):
            raise UserError(f"--set {shortened(item)}: write METHOD.KEY=VALUE, data.KEY=VALUE or run.KEY=VALUE")
        overrides.setdefault(owner, {})[key] = _parsed(value, item)
    return overrides


def _parsed(value: str, item: str) -> Any:
    if _POWER.fullmatch(value):
        return float(value)
    try:
        return yaml_value(value)
    except ValueError as error:
        raise UserError(f"--set {shortened(item)}: {error}") from None


def custom_name(changes: Mapping[str, Any]) -> str:
    """A stable name for changed settings without a name of their own."""
    return CUSTOM + digest_of(changes)[:8]


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
