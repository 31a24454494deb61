"""The lists of a split, whatever the data set is made of, without decoding an image."""

from __future__ import annotations

from collections.abc import Mapping

from datasets.files.dataset import FileDataset
from datasets.files.listing import ROLES, Listing
from datasets.splits import UNKNOWN_GROUPS
from datasets.types import Dataset, ImageSet


def parts_of(dataset: Dataset, split: str) -> Mapping[str, Listing]:
    """All images that the lists name, by role and unknown group; each of them is there, though it may be empty.

    Raises:
        UserError: there is no such split, or its lists are wrong.
    """
    if isinstance(dataset, FileDataset):
        listings = dataset.listings(split)
    else:
        content = dataset.split(split)
        sets = {"train": content.train, "val": content.val, "test": content.test, **content.unknown}
        listings = {part: _listing(images) for part, images in sets.items()}
    known = Listing.empty(listings["test"].classes)
    empty = {**dict.fromkeys(ROLES, known), **dict.fromkeys(UNKNOWN_GROUPS, Listing.empty(()))}
    return {part: listings.get(part, nothing) for part, nothing in empty.items()}


def _listing(images: ImageSet) -> Listing:
    sources = images.ids if images.sources is None else images.sources
    return Listing(images.ids.tolist(), images.labels, images.classes, sources.tolist())
