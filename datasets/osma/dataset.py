"""OSMA as published: five splits and a small test set, from annotation files and image folders.

Data: https://zenodo.org/record/8103474; annotation files and class lists: https://github.com/ICTMCG/POSE.
Works on whatever part of the images is there and says in its title how much that is. What the lists say must hold
without exception, for a wrong label spoils every figure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from datasets.files.dataset import FileDataset, percent
from datasets.files.listing import Listing
from datasets.files.present import present_images
from datasets.osma.annotations import (
    Annotation,
    check_folders,
    check_labels,
    check_roles,
    check_union,
    read_annotation,
)
from datasets.osma.layout import SUBSET, SUBSET_OF, UNION, find_layout
from datasets.pixels.store import Files
from datasets.settings import DataSettings
from datasets.splits import REAL, UNKNOWN_GROUPS, SplitPlan


class Osma(FileDataset):
    """The layout of OSMA, with its own images or with others in their place."""

    name = "osma"

    def __init__(self, settings: DataSettings, root: Path) -> None:
        self.layout = find_layout(root)
        super().__init__(settings, self.layout.home)

    @property
    def split_names(self) -> tuple[str, ...]:
        return tuple(filter(self.layout.has, self.layout.plan.splits))

    @property
    def extra_splits(self) -> tuple[str, ...]:
        return (SUBSET,) if self.layout.has(SUBSET) else ()

    @property
    def title(self) -> str:
        own = "data in the layout of OSMA" if self.layout.own_lists else "OSMA"
        whole = str(self.layout.manifest.get("title", own))
        return whole if self.coverage == 1 else f"{whole} ({percent(self.coverage)} of the images)"

    @property
    def limits(self) -> Mapping[str, int | None]:
        """None for an export under the same settings, which holds what they chose."""
        if self.layout.manifest.get("settings") == self.settings.model_dump():
            return dict.fromkeys(super().limits)
        return super().limits

    def listings(self, split: str) -> Mapping[str, Listing]:
        plan = self._plan(split)
        annotations = {role: read_annotation(self.layout.annotation(split, role)) for role in self.layout.roles(split)}
        classes = {role: plan.unknown[role] if role in UNKNOWN_GROUPS else plan.known for role in annotations}
        for role, annotation in annotations.items():
            check_labels(annotation, classes[role])
            check_folders(annotation, classes[role], self.layout.folders)
        check_roles(list(annotations.values()))
        if self.layout.annotation(split, UNION).is_file():
            union = read_annotation(self.layout.annotation(split, UNION))
            check_union(
                union,
                [annotations[group] for group in UNKNOWN_GROUPS],
                [len(classes[group]) for group in UNKNOWN_GROUPS],
            )
        return {role: _listing(annotation, classes[role]) for role, annotation in annotations.items()}

    def named(self, splits: Iterable[str]) -> Iterable[str]:
        return (name for path in self._annotation_files(splits).values() for name in read_annotation(path).names)

    def find(self, names: Iterable[str]) -> Files:
        return present_images(self.layout.images, names)

    def recipe(self) -> Any:
        lists = {
            split: [self._plan(split).known, *(self._plan(split).unknown[group] for group in UNKNOWN_GROUPS)]
            for split in self.counted_splits
        }
        hashes = {
            f"{split}/{role}": hashlib.sha256(path.read_bytes()).hexdigest()
            for (split, role), path in self._annotation_files(self.counted_splits).items()
        }
        return [lists, hashes, self.layout.manifest.get("recipe")]

    def _annotation_files(self, splits: Iterable[str]) -> dict[tuple[str, str], Path]:
        wanted = ((split, role) for split in splits for role in self.layout.roles(split))
        files = {(split, role): self.layout.annotation(split, role) for split, role in wanted}
        return {key: path for key, path in files.items() if path.is_file()}

    def _plan(self, split: str) -> SplitPlan:
        if split not in self.all_splits:
            there = ", ".join(self.all_splits)
            raise UserError(f"{self.layout.home} has no annotation files of '{split}'; it has {there}")
        of = SUBSET_OF if split == SUBSET else split
        if of not in self.layout.plan.splits:
            raise UserError(f"the class lists of {self.layout.home} have no '{of}', which '{split}' needs; add it")
        return self.layout.plan.splits[of]


def _listing(annotation: Annotation, classes: tuple[str, ...]) -> Listing:
    names, labels = annotation.names, annotation.labels
    return Listing(names, labels, classes, list(_sources(annotation, classes)))


def _sources(annotation: Annotation, classes: tuple[str, ...]) -> Iterator[str]:
    """The folder below real/ for real images, the class for others."""
    for name, label in zip(annotation.names, annotation.labels.tolist(), strict=True):
        folders = name.split("/")[:-1]
        yield folders[1] if classes[label] == REAL and len(folders) > 1 else classes[label]
