"""What data sets made of image files share: which images are there, which are used, decoding, splits."""

from __future__ import annotations

import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datasets.errors import UserError
from datasets.files.choice import CHOICE, chosen
from datasets.files.inventory import Inventory
from datasets.files.listing import ROLES, Listing
from datasets.files.set_digest import set_digest
from datasets.pixels.decode import PREPROCESSING
from datasets.pixels.disk import Need
from datasets.pixels.ledger import Entry
from datasets.pixels.store import Files, PixelStore, Report, Unreadable
from datasets.settings import DataSettings
from datasets.splits import UNKNOWN_GROUPS
from datasets.types import Dataset, ImageSet, Split


@dataclass(frozen=True)
class Choice:
    """The images of a split that are used, by role and unknown group; `lacking`: why the split cannot be used."""

    listings: Mapping[str, Listing]
    lacking: str | None


class FileDataset(Dataset):
    """A data set whose images lie in files below a root.

    A split is made in four steps: the lists of the subclass, less images that are not there, no more per class than
    the settings want, decoded. `fingerprint` follows from the lists, the settings, what is not there and the decoded
    pixels of all that the counted splits use; whoever asks for it waits until these are decoded.

    An open data set looks at each file once: its fingerprint and its splits speak of the same pixels, whatever
    becomes of the files meanwhile.
    """

    def __init__(self, settings: DataSettings, root: Path) -> None:
        self.settings = settings
        self.root = root
        self.store = PixelStore(root, settings.image_size)
        self._inventory: Inventory | None = None
        self._stored: dict[str, Entry] = {}  # what was looked at, as it was found
        self._chosen = lru_cache(maxsize=None)(self._chosen_now)
        self._hashed = lru_cache(maxsize=1)(self._fingerprint_without)
        self._digested = lru_cache(maxsize=1)(self._digest_without)

    @abstractmethod
    def listings(self, split: str) -> Mapping[str, Listing]:
        """All images that the lists name, by role and unknown group. Without train and val, a split is for tests alone.

        Raises:
            UserError: there is no such split, or its lists are wrong.
        """

    @abstractmethod
    def named(self, splits: Iterable[str]) -> Iterable[str]:
        """Every image that the lists of these splits name."""

    @abstractmethod
    def find(self, names: Iterable[str]) -> Files:
        """Those of the images that lie on disk, with their paths."""

    @abstractmethod
    def recipe(self) -> Any:
        """JSON that says which images the lists name, for the fingerprint."""

    @property
    def limits(self) -> Mapping[str, int | None]:
        """How many images are used per class, by role."""
        return {role: getattr(self.settings, f"{role}_per_class") for role in ROLES}

    @property
    def counted_splits(self) -> tuple[str, ...]:
        """The splits that coverage and fingerprint speak of; extra ones only where there is nothing else."""
        return self.split_names or self.extra_splits

    @property
    def inventory(self) -> Inventory:
        """What can be used; looked up when it is first asked for, and exchanged when `prepare` leaves images out."""
        if self._inventory is None:
            self._inventory = self._inventory_now()
        return self._inventory

    @property
    def files(self) -> Files:
        """The images that can be used, with their paths."""
        return self.inventory.files

    @property
    def missing(self) -> tuple[str, ...]:
        """The images that the lists name and that cannot be used, sorted."""
        return self.inventory.missing

    @property
    def coverage(self) -> float:
        return self.inventory.coverage

    @property
    def passed_over(self) -> Mapping[tuple[str, str], int]:
        """Files that lie where images were looked for and are none that is used, by class and reason."""
        return {}

    @property
    def usable_splits(self) -> tuple[str, ...]:
        """The counted splits that have images enough."""
        return tuple(split for split in self.counted_splits if self._chosen(split).lacking is None)

    @property
    def pixels(self) -> str:
        return self._digested(self.missing)

    @property
    def fingerprint(self) -> str:
        return self._hashed(self.missing)

    @property
    def known_fingerprint(self) -> str | None:
        """The fingerprint if that takes no decoding."""
        return None if self.need(self.usable_splits).images else self.fingerprint

    def used(self, split: str) -> Mapping[str, Listing]:
        """The images of a split that are used, by role and unknown group.

        Raises:
            UserError: there is no such split, its lists are wrong, or a class has no image.
        """
        choice = self._chosen(split)
        if choice.lacking is not None:
            raise UserError(choice.lacking)
        return choice.listings

    def look_up(self, names: Iterable[str], unreadable: Literal["refuse", "leave"] = "leave") -> Mapping[str, Entry]:
        """What the store has of images, decoded if need be: rows, digests, what is odd.

        Raises:
            UserError: the disk is too small, or an image is unreadable and that is refused.
        """
        new = {name: self.files[name] for name in names if name not in self._stored}
        if new:
            skipped = self.store.ensure(new, unreadable).skipped
            self._stored |= self.store.stored(new.keys() - skipped.keys())
        return self._stored

    def split(self, name: str) -> Split:
        used = self.used(name)
        self.look_up(self._files_of([used]), "refuse")
        views = {role: self._view(listing) for role, listing in used.items()}
        unknown = {group: views[group] for group in UNKNOWN_GROUPS}
        return Split(name, views["train"], views["val"], views["test"], unknown)

    def need(self, splits: Iterable[str] | None = None) -> Need:
        """What `prepare` would take on disk."""
        return self.store.need(self._wanted(splits))

    def prepare(self, unreadable: Unreadable = "refuse", splits: Sequence[str] | None = None) -> Report:
        """Decode what the splits use (all of them, if none is named), so that they open at once.

        Args:
            unreadable: "skip" leaves unreadable images out from now on; others of their class take their places.

        Raises:
            UserError: the disk is too small, or an image is unreadable and that is refused.
        """
        decoded = 0
        while True:
            report = self.store.ensure(self._wanted(splits), unreadable)
            decoded += report.decoded
            if not report.skipped:
                return Report(report.images, decoded, report.flagged, self.inventory.left_out)
            self._inventory = self._inventory_now()
            self._chosen.cache_clear()

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.named(self.counted_splits))

    @cached_property
    def _found(self) -> Files:
        return self.find(self._names.union(self.named(self.extra_splits)))

    def _inventory_now(self) -> Inventory:
        return Inventory.taken(self._names, self._found, self.store.skipped(self._found))

    def _fingerprint_without(self, missing: tuple[str, ...]) -> str:
        parts = [PREPROCESSING, CHOICE, self.settings.model_dump(), self.recipe(), missing, self.pixels]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _digest_without(self, missing: tuple[str, ...]) -> str:
        parts = {split: self.used(split) for split in self.usable_splits}
        stored = self.look_up(self._files_of(parts.values()))
        return set_digest(parts, {name: entry.digest for name, entry in stored.items()})

    def _wanted(self, splits: Iterable[str] | None) -> Files:
        return self._files_of(map(self.used, self.all_splits if splits is None else splits))

    def _files_of(self, splits: Iterable[Mapping[str, Listing]]) -> Files:
        return {name: self.files[name] for split in splits for listing in split.values() for name in listing.names}

    def _chosen_now(self, split: str) -> Choice:
        """The images of a split that are there, no more per class than the settings want; none in roles without any."""
        listings = self.listings(split)
        there = {role: self._there(listing) for role, listing in listings.items()}
        lacking = self._lacking(split, listings, there) if "train" in there else None
        seen = set(there["train"].sources) if "train" in there else set()
        used = {role: self._limited(listing, role, seen) for role, listing in there.items()}
        known = used["test"].classes
        empty = {**dict.fromkeys(ROLES, Listing.empty(known)), **dict.fromkeys(UNKNOWN_GROUPS, Listing.empty(()))}
        return Choice({**empty, **used}, lacking)

    def _there(self, listing: Listing) -> Listing:
        files = self.files
        return listing.take(np.flatnonzero([name in files for name in listing.names]))

    def _lacking(self, split: str, listings: Mapping[str, Listing], there: Mapping[str, Listing]) -> str | None:
        """Training needs every known class, the measures some image of validation and test: what is not there."""
        for role in ROLES:
            needed = set(range(len(listings[role].classes))) if role == "train" else set()
            lacking = sorted(needed.difference(there[role].labels.tolist()))
            if not lacking and len(there[role].names):
                continue
            position = int(np.flatnonzero(listings[role].labels == lacking[0])[0]) if lacking else 0
            what = f"class '{listings[role].classes[lacking[0]]}'" if lacking else "any class"
            return (
                f"{self.name}: {split} has no {role} image of {what} below {self.root}, such as "
                f"{listings[role].names[position]}; add them or choose another split"
            )
        return None

    def _limited(self, listing: Listing, role: str, seen: set[str]) -> Listing:
        """No more images per class than wanted.

        Real test images of sources that training has not seen count as a class of their own, so that a smaller test
        set keeps the balance of the full one.
        """
        limit = self.limits.get(role, self.limits["test"])
        counted = [
            (listing.classes[label], role == "test" and label == 0 and source not in seen)
            for label, source in zip(listing.labels.tolist(), listing.sources, strict=True)
        ]
        return listing.take(chosen(listing.names, counted, limit))

    def _view(self, listing: Listing) -> ImageSet:
        rows = np.array([self._stored[name].row for name in listing.names], dtype=np.int64)
        ids, sources = (np.array(values, dtype=np.str_) for values in (listing.names, listing.sources))
        return ImageSet(self.store.pool(), rows, listing.labels, listing.classes, ids, sources)


def percent(share: float) -> str:
    """A share of a whole, rounded down so that no part is called the whole: 0.9999 is "99.9 %"."""
    return f"{math.floor(share * 1000) / 10:g} %"
