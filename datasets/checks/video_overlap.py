"""Test images that come from a scene which training has seen."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from datasets.files.listing import Listing

Unit = tuple[str, str]  # folder of the videos, sub-folder of one


def shared_units(train: Listing, test: Listing, folders: Sequence[str] | None) -> dict[str, tuple[int, int]]:
    """(test images whose sub-folder has training images, test images) by class, for classes with sub-folders.

    Args:
        folders: whose sub-folders are videos, such as "fake/FSGAN/youtube_c23"; None: whatever folder the images of
            a class and source have in common.
    """
    units = [_units(listing, folders or _common_folders((train, test))) for listing in (train, test)]
    seen = {unit for unit in units[0] if unit is not None}
    counts: dict[str, tuple[int, int]] = {}
    for unit, label in zip(units[1], test.labels.tolist(), strict=True):
        if unit is not None:
            shared, images = counts.get(test.classes[label], (0, 0))
            counts[test.classes[label]] = (shared + (unit in seen), images + 1)
    return counts


def _units(listing: Listing, folders: Sequence[str]) -> list[Unit | None]:
    return [next(_unit_in(name, folders), None) for name in listing.names]


def _unit_in(name: str, folders: Sequence[str]) -> Iterator[Unit]:
    for folder in folders:
        unit, slash, _ = name.removeprefix(f"{folder}/").partition("/")
        if slash and name.startswith(f"{folder}/"):
            yield folder, unit


def _common_folders(listings: Sequence[Listing]) -> list[str]:
    """The deepest folder that holds all images of a class and source, for each of them; the deepest ones first."""
    names: dict[tuple[str, str], set[str]] = {}
    for listing in listings:
        for name, label, source in zip(listing.names, listing.labels.tolist(), listing.sources, strict=True):
            names.setdefault((listing.classes[label], source), set()).add(name.rpartition("/")[0])
    common = {os.path.commonpath(sorted(folders)) for folders in names.values() if len(folders) > 1}
    return sorted(common - {""}, key=len, reverse=True)
