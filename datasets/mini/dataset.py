"""The embedded data set: real photographs and 62 small trained generators, sampled once into the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from datasets.console import progress
from datasets.core.workers import replaced_workers
from datasets.errors import UserError
from datasets.mini.carried import WEIGHTS
from datasets.mini.crops import cut, draw_boxes
from datasets.mini.photographs import CROP, PHOTOGRAPHS, ROLES, SEEN_CONTENTS, UNSEEN_REAL, Role, photograph_path
from datasets.pixels.cache import open_pool
from datasets.seeds import seed_of
from datasets.settings import DataSettings
from datasets.splits import FOLDER, REAL, UNKNOWN_GROUPS, Plan, load_plan
from datasets.types import Dataset, ImageSet, Index, Pixels, Split

RECIPE = 1  # raise when code lists, crops or sampling change
FULL_SIZE: dict[Role, int] = {"train": 400, "val": 100, "test": 100}  # "all there are", for a None in the settings
CALIBRATION = "calibration"
SIZE_SPREAD = 0.06  # classes are unequal: sizes vary by up to this share around the setting


class Block(NamedTuple):
    """Consecutive rows of the pool: the images of one origin in one role."""

    name: str  # class
    source: str  # photograph of a real image; the class itself for a generator
    role: Role
    size: int


def class_size(name: str, role: Role, base: int) -> int:
    """The number of images of a class, near `base` but not equal between classes."""
    shift = seed_of("size", name, role) % 2001 / 1000 - 1
    return max(1, round(base * (1 + SIZE_SPREAD * shift)))


class Mini(Dataset):
    """A scale model of OSMA that runs anywhere: see datasets/mini/README.md."""

    name = "mini"
    title = "mini (stand-in generators)"
    coverage = 1.0

    def __init__(self, settings: DataSettings) -> None:
        if settings.image_size > CROP:
            raise UserError(f"mini has images of {CROP} px; data.image_size={settings.image_size} asks for more")
        self.settings = settings
        self.plan: Plan = load_plan("mini")

    @property
    def split_names(self) -> tuple[str, ...]:
        return tuple(name for name in self.plan.splits if name != CALIBRATION)

    @property
    def extra_splits(self) -> tuple[str, ...]:
        return (CALIBRATION,)

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(json.dumps([RECIPE, self.settings.model_dump()], sort_keys=True).encode())
        photographs = map(photograph_path, sorted(PHOTOGRAPHS))
        for path in (FOLDER / "mini.yaml", *sorted(WEIGHTS.glob("*.safetensors")), *photographs):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()

    def split(self, name: str) -> Split:
        if name not in self.plan.splits:
            raise UserError(f"mini has no split '{name}'; it has {', '.join(self.plan.splits)}")
        plan = self.plan.splits[name]
        train, val, test = (self._view(plan.known, role) for role in ROLES)
        unknown = {group: self._view(plan.unknown[group], "test") for group in UNKNOWN_GROUPS}
        return Split(name, train, val, test, unknown)

    @cached_property
    def _blocks(self) -> dict[Block, int]:
        """Every block with its first row."""
        first, row = {}, 0
        for block in self._layout():
            first[block] = row
            row += block.size
        return first

    def _layout(self) -> Iterator[Block]:
        base = {role: getattr(self.settings, f"{role}_per_class") or FULL_SIZE[role] for role in ROLES}
        for role in ROLES:
            yield from _shared(REAL, tuple(SEEN_CONTENTS), role, class_size(REAL, role, base[role]))
        # As in OSMA, the test set holds as many real images again from sources never seen in training.
        yield from _shared(REAL, tuple(UNSEEN_REAL), "test", class_size(REAL, "test", base["test"]))
        known = {name for split in self.plan.splits.values() for name in split.known}
        for name in self.plan.generators:
            for role in ROLES if name in known else ("test",):
                yield Block(name, name, role, class_size(name, role, base[role]))

    @cached_property
    def _pool(self) -> Pixels:
        blocks, side = self._blocks, self.settings.image_size
        shape = (sum(block.size for block in blocks), side, side, 3)
        return open_pool(f"mini-{self.fingerprint[:16]}", shape, self._fill)

    def _fill(self, pool: Pixels) -> None:
        from joblib import Parallel, delayed  # heavy, and rarely needed: the cache mostly has the images

        margin = (CROP - self.settings.image_size) // 2
        inner = slice(margin, CROP - margin)

        def write(block: Block, images: Pixels) -> None:
            pool[self._blocks[block] : self._blocks[block] + block.size] = images[:, inner, inner]

        wanted: dict[str, dict[Role, int]] = {}
        for block in self._blocks:
            if block.name == REAL:
                write(block, cut(block.source, draw_boxes(block.source, block.role, "real", block.size)))
            else:
                wanted.setdefault(block.name, {})[block.role] = block.size
        tasks = (delayed(_named_images)(name, counts) for name, counts in wanted.items())
        with replaced_workers():
            sampled = Parallel(n_jobs=-1, return_as="generator_unordered")(tasks)
            for name, images in progress(sampled, total=len(wanted), title="sampling the embedded data set"):
                for role, pixels in images.items():
                    write(Block(name, name, role, len(pixels)), pixels)

    def _view(self, classes: tuple[str, ...], role: Role) -> ImageSet:
        label_of = {name: label for label, name in enumerate(classes)}
        chosen = [(block, row) for block, row in self._blocks.items() if block.role == role and block.name in label_of]
        rows: Index = np.concatenate([np.arange(row, row + block.size) for block, row in chosen])
        labels = np.repeat([label_of[block.name] for block, _ in chosen], [block.size for block, _ in chosen])
        sources = np.repeat([block.source for block, _ in chosen], [block.size for block, _ in chosen])
        ids = np.array([f"{block.source}/{role}/{i:04d}" for block, _ in chosen for i in range(block.size)])
        return ImageSet(self._pool, rows, labels.astype(np.int64), classes, ids, sources)


def _named_images(name: str, counts: dict[Role, int]) -> tuple[str, dict[Role, Pixels]]:
    from datasets.mini.sampling import generated_images  # torch, for the worker processes alone

    return name, generated_images(name, counts)


def _shared(name: str, sources: tuple[str, ...], role: Role, count: int) -> Iterator[Block]:
    """Share `count` images of a class among its sources as evenly as possible."""
    for position, source in enumerate(sources):
        share = (count + position) // len(sources)
        if share:
            yield Block(name, source, role, share)
