"""A user's own images, described by one YAML file; datasets/splits/example.yaml explains it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from datasets.errors import UserError
from datasets.files.dataset import FileDataset, percent
from datasets.files.listing import ROLES, Listing
from datasets.folder.images import Image, Survey, images_of
from datasets.folder.plan import FolderPlan
from datasets.pixels.store import Files
from datasets.settings import DataSettings
from datasets.splits import REAL, UNKNOWN_GROUPS


class Folder(FileDataset):
    """Images of folders and patterns, in splits of the same form as those of the other data sets."""

    def __init__(self, path: Path, settings: DataSettings, root: Path | None = None) -> None:
        """Read the description.

        Args:
            path: the YAML file.
            settings: how much is used, and at which size.
            root: where the images lie, instead of the `root` of the file.

        Raises:
            UserError: the description is wrong, or images that it names are not there.
        """
        self.plan = FolderPlan(path)
        root = root or self.plan.root
        if not root.is_dir():
            where = self.plan.document.where(["root"])
            raise UserError(f"{where}: the root {root} is no folder; correct it, or give --data-root")
        super().__init__(settings, root)
        self._check_roles()

    @property
    def name(self) -> str:
        return self.plan.content.name

    @property
    def title(self) -> str:
        whole = self.plan.content.title or self.name
        return whole if self.coverage == 1 else f"{whole} ({percent(self.coverage)} of the images)"

    @property
    def split_names(self) -> tuple[str, ...]:
        return tuple(self.plan.splits)

    def listings(self, split: str) -> Mapping[str, Listing]:
        if split not in self.plan.splits:
            raise UserError(f"{self.name} has no split '{split}'; it has {', '.join(self.split_names)}")
        plan = self.plan.splits[split]
        known = {role: self._listing(plan.known, role) for role in ROLES}
        return known | {group: self._listing(plan.unknown[group], "test") for group in UNKNOWN_GROUPS}

    def named(self, splits: Iterable[str]) -> Iterable[str]:
        return (name for split in splits for listing in self.listings(split).values() for name in listing.names)

    def find(self, names: Iterable[str]) -> Files:
        return {name: str(self.root / name) for name in names}

    def recipe(self) -> Any:
        return [{name: [split.known, split.unknown] for name, split in self.plan.splits.items()}, self._survey.images]

    @property
    def passed_over(self) -> Mapping[tuple[str, str], int]:
        return self._survey.passed

    @cached_property
    def _survey(self) -> Survey:
        return images_of(self.plan, self.root)

    @cached_property
    def _by_class(self) -> Mapping[tuple[str, str], list[Image]]:
        found: dict[tuple[str, str], list[Image]] = {}
        for image in self._survey.images:
            found.setdefault((image.origin, image.role), []).append(image)
        return found

    def _listing(self, classes: tuple[str, ...], role: str) -> Listing:
        images = [(image, label) for label, name in enumerate(classes) for image in self._by_class[name, role]]
        labels = np.array([label for _, label in images], dtype=np.int64)
        sources = [image.source if image.origin == REAL else image.origin for image, _ in images]
        return Listing([image.name for image, _ in images], labels, classes, sources)

    def _check_roles(self) -> None:
        """Known classes have images in all roles, unknown ones for testing.

        Raises:
            UserError: a class has none in a role.
        """
        for name, line in self.plan.used.items():
            for role in ROLES if name in self.plan.known else ("test",):
                if (name, role) not in self._by_class:
                    raise UserError(f"{line}: class '{name}' has no {role} image; add images, or change its places")
