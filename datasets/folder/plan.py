"""The file that describes a user's own images, see datasets/splits/example.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from unicodedata import normalize

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from datasets.core.strict_yaml import Document, parsed, read_yaml
from datasets.core.text import shortened, shown
from datasets.errors import UserError
from datasets.splits import UNKNOWN_GROUPS, SplitPlan, parse_split

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LARGEST_RATIO = 1e9
LONGEST = 255  # bytes of the name of a folder
MOST_STARS = 3  # each "**" multiplies the search
DEEPEST = 64  # folders within one another that a place can name
TAKEN = ("mini", "osma")


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _to_divide(value: Any) -> Any:
    return {"divide": value} if isinstance(value, str | list) else value


PlaceList = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]


Ratio = Annotated[float, Field(gt=0, le=LARGEST_RATIO, allow_inf_nan=False, strict=True)]


class Part(BaseModel):
    """What all parts of the file have in common: no unknown keys, nothing converted silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Places(Part):
    """Where the images of a class lie: folders (with all below them) or patterns, relative to the root."""

    divide: PlaceList = ()  # shared out among the roles by the ratios
    train: PlaceList = ()
    val: PlaceList = ()
    test: PlaceList = ()

    @field_validator("*")
    @classmethod
    def _below_the_root(cls, places: tuple[str, ...]) -> tuple[str, ...]:
        for place in places:
            check_place(place)
        return places

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not (self.divide or self.train or self.val or self.test):
            raise ValueError("the class has no place; name a folder, or roles with folders")
        return self


class Ratios(Part):
    """Shares of train, val and test among the images that are divided; any scale."""

    train: Ratio = 0.8
    val: Ratio = 0.1
    test: Ratio = 0.1


class SplitLists(Part):
    """Which classes are known and which are unknown in what way."""

    known: tuple[str, ...]
    unknown: dict[str, tuple[str, ...]]

    @field_validator("known")
    @classmethod
    def _two_known(cls, known: tuple[str, ...]) -> tuple[str, ...]:
        if len(known) < 2:
            count = "one class is" if known else "no class is"
            raise ValueError(f"{count} known; name at least two, 'real' and a generator")
        return known

    @field_validator("unknown")
    @classmethod
    def _some_unknown(cls, unknown: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        strange = sorted(set(unknown) - set(UNKNOWN_GROUPS))
        if strange:
            raise ValueError(f"there is no unknown group '{strange[0]}'; use {', '.join(UNKNOWN_GROUPS)}")
        if not any(unknown.values()):
            raise ValueError("no class is unknown; an open-set test needs at least one")
        return unknown


class OwnImages(Part):
    """The whole file."""

    name: str
    title: str | None = None
    root: str
    classes: dict[str, Annotated[Places, BeforeValidator(_to_divide)]] = {}
    pattern: PlaceList = ()
    ratios: Ratios = Ratios()
    seed: Annotated[int, Field(strict=True)] = 0
    keep_folders_together: Annotated[bool, Field(strict=True)] = False
    follow_links: Annotated[bool, Field(strict=True)] = False
    splits: dict[str, SplitLists] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _a_name(cls, name: str) -> str:
        if not NAME.fullmatch(name) or name in TAKEN:
            taken = " or ".join(TAKEN)
            raise ValueError(f"{shown(name)} cannot be the name; use letters, digits, '-' and '_', and not {taken}")
        return name

    @field_validator("splits")
    @classmethod
    def _split_names(cls, splits: dict[str, SplitLists]) -> dict[str, SplitLists]:
        for name in splits:
            if not NAME.fullmatch(name):
                raise ValueError(f"{shown(name)} cannot be the name of a split; use letters, digits, '-' and '_'")
        return splits

    @field_validator("pattern")
    @classmethod
    def _placeholders(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            check_place(pattern)
            if sorted(re.findall(r"\{[^}]*\}?|[*?[]", pattern)) not in (["{class}"], ["{class}", "{role}"]):
                raise ValueError(f"'{pattern}' needs {{class}} once, at most one {{role}}, and no other wildcard")
        return patterns


def check_place(place: str) -> None:
    """Places stay below the root.

    Raises:
        ValueError: otherwise.
    """
    if "\\" in place:
        raise ValueError(f"'{shortened(place)}' has a backslash; write '/' between folders, on every system")
    if not place or place.startswith(("/", "~")) or ".." in place.split("/") or "\0" in place:
        raise ValueError(f"{shown(place)} does not stay below the root; write a path relative to it, without '..'")
    if place.count("/") >= DEEPEST or max(len(step.encode(errors="replace")) for step in place.split("/")) > LONGEST:
        raise ValueError(f"{shown(place)} is too long: {DEEPEST} folders of {LONGEST} bytes at most; shorten it")
    if place.split("/").count("**") > MOST_STARS:
        raise ValueError(f"{shown(place)} has '**' more than {MOST_STARS} times; once is enough")


class FolderPlan:
    """A validated file with its split plans, and with lines for later complaints."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            UserError: the file is wrong; with line, key and remedy.
        """
        self.document: Document = read_yaml(path)
        self.content = parsed(OwnImages, self.document)
        self.splits: Mapping[str, SplitPlan] = {
            name: parse_split(name, lists.model_dump(), self.document.where(["splits", name]))
            for name, lists in self.content.splits.items()
        }
        if not (self.content.classes or self.content.pattern):
            raise UserError(f"{path}: neither 'classes' nor 'pattern' says where the images lie; add one of them")

    @property
    def used(self) -> dict[str, str]:
        """Every class of the splits, with the line that lists it first."""
        places: dict[str, str] = {}
        for name, split in self.splits.items():
            for position, member in enumerate(split.known):
                places.setdefault(member, self.document.where(["splits", name, "known", position]))
            for group, members in split.unknown.items():
                for position, member in enumerate(members):
                    places.setdefault(member, self.document.where(["splits", name, "unknown", group, position]))
        return places

    @property
    def known(self) -> frozenset[str]:
        """Classes that some split trains on."""
        return frozenset(member for split in self.splits.values() for member in split.known)

    def listed(self, name: str) -> str:
        """A class as the splits spell it: disks and keyboards write "é" as one character or as two."""
        return self._spellings.get(normalize("NFC", name), name)

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return {normalize("NFC", name): name for name in self.used}

    @property
    def root(self) -> Path:
        """Relative to the file that names it.

        Raises:
            UserError: it begins with the name of a user who is not there.
        """
        try:
            return self.document.path.parent / Path(self.content.root).expanduser()
        except RuntimeError:
            where = self.document.where(["root"])
            raise UserError(f"{where}: root {shown(self.content.root)} names a user who is not there") from None

    def where(self, origin: str, *parts: str | int) -> str:
        """FILE:LINE of what says where a class lies."""
        return self.document.where(["classes", origin, *parts] if origin in self.content.classes else ["pattern"])
