"""Which files a description of a user's own images means: folders, patterns, roles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from datasets.core.text import shown
from datasets.errors import UserError
from datasets.files.listing import ROLES
from datasets.files.walk import WILDCARD, Found, Walk, passed_text
from datasets.folder.plan import FolderPlan, Places
from datasets.pixels.decode import FORMATS
from datasets.seeds import seed_of

STRANGE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # control characters, and bytes that are not UTF-8


class Image(NamedTuple):
    """An image that a class uses."""

    name: str  # relative to the root, with "/"
    origin: str  # class
    role: str
    source: str  # the place that named it


class Survey(NamedTuple):
    """What lies at the places of a description.

    Attributes:
        images: of every class that a split uses, sorted by name.
        passed: numbers of files that were passed over, by class and reason.
    """

    images: list[Image]
    passed: Mapping[tuple[str, str], int]


def images_of(plan: FolderPlan, root: Path) -> Survey:
    """Every image of every class that a split uses, and what was passed over at their places.

    Raises:
        UserError: a class has no place or no image, a place has no image, an image is in two classes or roles, a link
            leads out of the root, or a name is not Unicode.
    """
    walk = Walk(root, plan.content.follow_links)
    own = {plan.listed(name): places for name, places in plan.content.classes.items()}
    places = {**_from_patterns(plan, walk), **own}
    images: dict[str, Image] = {}
    passed: dict[tuple[str, str], int] = {}
    for origin, line in plan.used.items():
        if origin not in places:
            known = ", ".join(sorted(places)[:20]) or "none"
            raise UserError(f"{line}: class '{origin}' has no place; name one under 'classes' (there are: {known})")
        found = {place: _files(walk, place, where) for place, where in _spots(plan, origin, places[origin])}
        for reason, number in (item for seen in found.values() for item in seen.passed.items()):
            passed[origin, reason] = passed.get((origin, reason), 0) + number
        for image in _of_class(plan, origin, places[origin], found):
            other = images.setdefault(image.name, image)
            if other != image:
                raise UserError(
                    f"{plan.where(origin)}: {shown(image.name)} is {image.role} image of '{image.origin}' and "
                    f"{other.role} image of '{other.origin}'; let only one of their places hold it"
                )
    return Survey(sorted(images.values()), passed)


def _spots(plan: FolderPlan, origin: str, places: Places) -> Iterator[tuple[str, str]]:
    """Every place of a class with the line that names it."""
    for part in (*ROLES, "divide"):
        for position, place in enumerate(getattr(places, part)):
            yield place, plan.where(origin, part, position)


def _of_class(plan: FolderPlan, origin: str, places: Places, found: Mapping[str, Found]) -> Iterator[Image]:
    fixed: set[str] = set()
    for role in ROLES:
        for place in getattr(places, role):
            for name in found[place].names:
                fixed.add(name)
                yield Image(name, origin, role, place)
    divided: dict[str, str] = {}
    for place in places.divide:
        divided |= {name: place for name in found[place].names if name not in fixed}
    # A class that is never trained on has no use for images of training and validation.
    roles = _divided(plan, divided) if origin in plan.known else dict.fromkeys(divided, "test")
    for name, place in divided.items():
        yield Image(name, origin, roles[name], place)


def _divided(plan: FolderPlan, place_of: Mapping[str, str]) -> dict[str, str]:
    """A role for each image by the ratios; what has to stay together gets one role."""
    together = plan.content.keep_folders_together
    unit_of = {name: _unit(name, place) if together else name for name, place in place_of.items()}
    units = sorted(set(unit_of.values()), key=lambda unit: seed_of("role", plan.content.seed, unit))
    ratios = [getattr(plan.content.ratios, role) for role in ROLES]
    bounds = [sum(ratios[: position + 1]) / sum(ratios) for position in range(len(ROLES))]
    ends = [round(bound * len(units)) for bound in bounds]
    if len(units) >= len(ROLES):  # nobody goes away empty
        ends[0] = min(max(ends[0], 1), len(units) - 2)
        ends[1] = min(max(ends[1], ends[0] + 1), len(units) - 1)
    role_of = {
        unit: next(role for role, end in zip(ROLES, ends, strict=True) if rank < end) for rank, unit in enumerate(units)
    }
    return {name: role_of[unit] for name, unit in unit_of.items()}


def _unit(name: str, place: str) -> str:
    """The sub-folder of its place that an image lies in; an image directly in its place stands for itself."""
    steps = [step for step in place.split("/") if step not in ("", ".")]
    if not name.startswith("/".join([*steps, ""])):  # a pattern: what stands before its first wildcard is the place
        steps = list(takewhile(lambda step: not WILDCARD.search(step), steps))
    parts = name.split("/")
    return "/".join(parts[: len(steps) + 1])


def _files(walk: Walk, place: str, where: str) -> Found:
    """What lies at one place."""
    place = next((form for form in _spellings(place) if (walk.base / form).exists()), place)
    try:
        found = walk.images(place)
    except (ValueError, OSError) as error:
        raise UserError(f"{where}: {shown(place)} cannot be searched ({error}); correct it") from None
    if not found.names:
        kinds = f"{', '.join(FORMATS)} are read" + (
            f"; passed over {passed_text(found.passed)}" if found.passed else ""
        )
        raise UserError(f"{where}: no image at {shown(place)} below {walk.base} ({kinds}); correct the place")
    strange = next(filter(STRANGE.search, found.names), None)
    if strange is not None:
        raise UserError(f"{where}: {shown(strange)} has a name that is no text; rename the file")
    return found


def _spellings(place: str) -> Iterator[str]:
    """A place as it is written, then with its accents as other systems write them."""
    yield from (place, normalize("NFC", place), normalize("NFD", place))


def _from_patterns(plan: FolderPlan, walk: Walk) -> dict[str, Places]:
    """Classes from the names of folders; those under `classes` win over them."""
    places: dict[str, dict[str, list[str]]] = {}
    for pattern in plan.content.pattern:
        expression = re.escape(pattern)
        for holder, group in (("class", "origin"), ("role", "role")):
            expression = expression.replace(rf"\{{{holder}\}}", f"(?P<{group}>[^/]+)")
        for folder in walk.folders(pattern.replace("{class}", "*").replace("{role}", "*")):
            match = re.fullmatch(expression, folder)
            if match is None:
                continue
            role = match.groupdict().get("role") or "divide"
            if role not in (*ROLES, "divide"):
                where = plan.document.where(["pattern"])
                raise UserError(f"{where}: folder {shown(folder)} is named after no role; name it {', '.join(ROLES)}")
            places.setdefault(plan.listed(match["origin"]), {}).setdefault(role, []).append(folder)
    return {origin: Places.model_validate(roles) for origin, roles in places.items()}
