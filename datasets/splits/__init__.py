"""Which classes are known, and which are unknown in what way: one YAML per data set, one schema for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from datasets.errors import UserError

FOLDER = Path(__file__).parent
UNKNOWN_GROUPS: tuple[str, ...] = ("seed", "arch", "dataset")
REAL = "real"


@dataclass(frozen=True)
class SplitPlan:
    """The class lists of one split. `known[0]` is the real class; the order gives the labels."""

    name: str
    known: tuple[str, ...]
    unknown: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Plan:
    """All splits of a data set, by name; `folders` says where the images of a class lie, where that is laid down."""

    name: str
    splits: Mapping[str, SplitPlan]
    folders: Mapping[str, str] = field(default_factory=dict)

    @property
    def generators(self) -> list[str]:
        """Every class but the real one, sorted."""
        names = {name for split in self.splits.values() for name in split.known}
        names |= {name for split in self.splits.values() for group in split.unknown.values() for name in group}
        return sorted(names - {REAL})


def parse_split(name: str, entry: Any, where: str) -> SplitPlan:
    """Check one split entry of a plan file.

    Raises:
        UserError: a key is missing or unknown, a class stands in two roles, or the first known class is not real.
    """
    if not isinstance(entry, dict) or set(entry) != {"known", "unknown"}:
        raise UserError(f"{where}: split '{name}' needs exactly the keys 'known' and 'unknown'")
    strange = set(entry["unknown"]) - set(UNKNOWN_GROUPS)
    if strange:
        raise UserError(
            f"{where}: split '{name}' has no unknown group '{min(strange)}'; use {', '.join(UNKNOWN_GROUPS)}"
        )
    known = tuple(entry["known"])
    unknown = {group: tuple(entry["unknown"].get(group, ())) for group in UNKNOWN_GROUPS}
    if not known or known[0] != REAL:
        raise UserError(f"{where}: split '{name}' must list '{REAL}' as its first known class")
    listed = [*known, *(member for group in UNKNOWN_GROUPS for member in unknown[group])]
    twice = sorted({member for member in listed if listed.count(member) > 1})
    if twice:
        raise UserError(f"{where}: split '{name}' lists class '{twice[0]}' in two roles; keep one of them")
    return SplitPlan(name, known, unknown)


def load_plan(name: str) -> Plan:
    """The carried plan of a data set."""
    path = FOLDER / f"{name}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    splits = {key: parse_split(key, entry, str(path)) for key, entry in content["splits"].items()}
    return Plan(name, splits, content.get("folders", {}))
