"""Images that stand in a split twice, under another name: equal pixels, of equal or of different files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from datasets.checks.findings import Finding
from datasets.files.listing import Listing
from datasets.pixels.ledger import Entry
from datasets.pixels.store import Files

NAMED = 6  # pairs of places that a finding names; --json lists all
REMEDY = "delete the copies from all but one place, or let only one place hold them"


class Spot(NamedTuple):
    """Where an image stands."""

    origin: str  # class
    part: str  # role or unknown group

    def __str__(self) -> str:
        return f"{self.origin} {self.part}"


@dataclass(frozen=True)
class Twins:
    """Images of equal pixels.

    Attributes:
        between: how many images two places have in common.
        within: copies beside the first in one class and role, which leak nothing.
        groups: names of equal images that stand in more than one place.
    """

    between: Mapping[tuple[Spot, Spot], int]
    within: Mapping[Spot, int]
    groups: Sequence[list[str]]


def twins(parts: Mapping[str, Listing], stored: Mapping[str, Entry]) -> Twins:
    """Group the images of a split by their pixels; images of one colour are equal without being copies.

    Args:
        parts: the images that are used, by role and unknown group.
        stored: their digests.
    """
    places: dict[str, dict[str, Spot]] = {}  # by digest, then by name
    for part, listing in parts.items():
        for name, label in zip(listing.names, listing.labels.tolist(), strict=True):
            entry = stored.get(name)
            if entry is not None and "constant" not in entry.flags:
                places.setdefault(entry.digest, {})[name] = Spot(listing.classes[label], part)
    between, within, groups = Counter[tuple[Spot, Spot]](), Counter[Spot](), list[list[str]]()
    for members in places.values():
        counts = Counter(members.values())
        between.update(combinations(counts, 2))
        within.update({spot: count - 1 for spot, count in counts.items() if count > 1})
        groups += [sorted(members)] if len(counts) > 1 else []
    return Twins(between, within, groups)


def twin_findings(split: str, found: Twins, files: Files) -> Iterator[Finding]:
    """What a reader of figures has to know."""
    if found.between:
        pairs = [f"{first} = {second} {n:,}" for (first, second), n in Counter(found.between).most_common(NAMED)]
        more = f" and {len(found.between) - NAMED} more pairs" if len(found.between) > NAMED else ""
        alike = sum(_same_bytes([files[name] for name in names]) for names in found.groups)
        text = f"{len(found.groups):,} images stand in several roles or classes ({alike:,} byte for byte): "
        example = " = ".join(min(found.groups)[:2])
        yield Finding("duplicates", split, "warning", f"{text}{', '.join(pairs)}{more}, such as {example}; {REMEDY}")
    else:
        yield Finding("duplicates", split, "ok", "no image stands in two roles or classes under another name")
    if found.within:
        text = f"{sum(found.within.values()):,} copies beside others of their class and role, which weigh more so"
        yield Finding("duplicates", split, "note", text)


def _same_bytes(paths: Sequence[str]) -> bool:
    """Whether two of the files are equal byte for byte."""
    return len({hashlib.blake2b(Path(path).read_bytes()).digest() for path in paths}) < len(paths)
