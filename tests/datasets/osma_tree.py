"""A small OSMA: the published folders, files, labels and oddities, with tiny images and scaled-down counts.

Written from the published description and from the class lists alone, so that it can judge the loader.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

import datasets.splits

PLAN = yaml.safe_load((Path(datasets.splits.__file__).parent / "osma.yaml").read_text())
UNKNOWN_GROUPS = ("seed", "arch", "dataset")
OUT_PER_CLASS = 500

# Published images by source: (train, val, test), and how its files are called.
REAL = {
    "celeba": (578, 66, 70, "{:06d}.jpg"),
    "celebA-HQ_10K": (569, 71, 74, "{}.jpg"),
    "imagenet": (586, 67, 61, "n03445777_{}.JPEG"),
    "FF_c23_youtube": (570, 73, 71, "749/749_{}.png"),
    "bedroom": (576, 63, 75, "{:040x}.jpg"),
    "cat": (575, 71, 68, "{:06d}.png"),
    "bus": (567, 72, 75, "{:06d}.png"),
    "CoCo": (0, 0, 250, "{:012d}.png"),
    "summer": (0, 0, 250, "2011-06-26 19:33:{:02d}_real.png"),
}
# Published images by label, from 1: train, val, test.
FAKE = {
    "train": (3990, 3976, 3956, 3975, 4036, 4066, 4012, 3967, 4018, 4002, 4005, 3970, 4032, 3972),
    "val": (499, 497, 501, 512, 465, 476, 521, 513, 488, 512, 519, 525, 505, 484),
    "test": (511, 527, 543, 513, 499, 458, 467, 520, 494, 486, 476, 505, 463, 544),
}
ROLES = tuple(FAKE)

Lines = list[tuple[str, int]]  # path below OSMA/, label


@dataclass
class Tree:
    """What was built.

    Attributes:
        root: the folder that holds OSMA/.
        lines: of every annotation file, by split and role.
    """

    root: Path
    lines: dict[tuple[str, str], Lines] = field(default_factory=dict)

    def annotation(self, split: str, role: str) -> Path:
        name = role if role in ROLES else f"test_{role}" if role.startswith("out") else f"test_out_{role}"
        if split == "subset":
            return self.root / "subset_annotations" / f"{name}.txt"
        folder = {"train": "train", "val": "val"}.get(role, "test")
        return self.root / f"{split}_{folder}" / "annotations" / f"{split}_{name}.txt"

    def write(self, split: str, role: str, lines: Lines, prefix: str = "./dataset/OSMA/") -> None:
        self.lines[split, role] = lines
        path = self.annotation(split, role)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{prefix}{name}\t{label}\n" for name, label in lines))

    @property
    def names(self) -> set[str]:
        return {name for (split, _), lines in self.lines.items() if split != "subset" for name, _ in lines}


def file_of(name: str, index: int) -> str:
    """The path of an image of a generator, with the sub-folders that its class has."""
    folder = f"fake/{PLAN['folders'][name]}"
    if name in ("FSGAN", "wav2lip"):
        return f"{folder}/{700 + index % 2}_055.mp4/{index:04d}.png"
    if name in ("FaceSwap", "Faceshifter"):
        return f"{folder}/{700 + index % 2}_055/{index:04d}.png"
    if name in ("BigGAN_imagenet", "ContraGAN_imagenet", "SAGAN_imagenet"):
        return f"{folder}/{index % 3}/{index:06d}.png"
    return f"{folder}/{folder.split('/')[1]}_{index:08d}.png"  # the same file names in many folders


def build(root: Path, scale: float = 1 / 1000, side: int = 20, splits: int = 5) -> Tree:
    """Write the tree.

    Args:
        scale: factor on the published counts; no class and no source goes away empty.
        side: of most images, in pixels; those of celeba are higher than wide.
        splits: how many of the five.
    """
    tree = Tree(root)
    for split in list(PLAN["splits"])[:splits]:
        _write_split(tree, split, scale)
    _write_subset(tree)
    for name in sorted(tree.names):
        _write_image(root / "OSMA", name, side)
    return tree


def _write_split(tree: Tree, split: str, scale: float) -> None:
    def scaled(count: int) -> int:
        return max(1, round(count * scale)) if count else 0

    lists = PLAN["splits"][split]
    known: dict[str, Lines] = {role: [] for role in ROLES}
    for source, (*counts, pattern) in REAL.items():
        names = iter(f"real/{source}/{pattern.format(index)}" for index in range(sum(map(scaled, counts))))
        for role, count in zip(ROLES, counts, strict=True):
            known[role] += [(next(names), 0) for _ in range(scaled(count))]
    for label, member in enumerate(lists["known"][1:], start=1):
        index = 0
        for role in ROLES:
            count = scaled(FAKE[role][label - 1])
            known[role] += [(file_of(member, index + turn), label) for turn in range(count)]
            index += count
    for role in ROLES:
        random.Random(f"{split} {role}").shuffle(known[role])
        tree.write(split, role, known[role])
    union: Lines = []
    for group in UNKNOWN_GROUPS:
        members = lists["unknown"][group]
        lines = [(file_of(m, i), label) for label, m in enumerate(members) for i in range(scaled(OUT_PER_CLASS))]
        tree.write(split, group, lines)
        offset = max((label for _, label in union), default=-1) + 1
        union += [(name, label + offset) for name, label in lines]
    tree.write(split, "out", union)


def _write_subset(tree: Tree) -> None:
    """One image of a class from the test files of split 1, sorted by label, and real ones of an unseen source."""
    for role in ("test", *UNKNOWN_GROUPS):
        by_label = dict(sorted({label: name for name, label in tree.lines["split1", role]}.items()))
        lines = [(name, label) for label, name in by_label.items()]
        if role == "test":
            lines.insert(0, next(line for line in tree.lines["split1", "test"] if "/summer/" in line[0]))
            lines = list(dict.fromkeys(lines))
        tree.write("subset", role, lines, "./dataset/OSMA_subset/")


def _write_image(base: Path, name: str, side: int) -> None:
    """A colour of the generator, which its seeds share, with noise of the file."""
    higher = 3 if name.startswith("real/celeba/") else 0
    colour = random.Random("/".join(name.split("/")[:3])).choices(range(40, 216), k=3)
    noise = np.random.default_rng(list(name.encode())).integers(-40, 40, (side + higher, side, 3))
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(path)


def official_lists(splits: Mapping[str, Any]) -> str:
    """The text of configs/data_list.yaml for class lists in our form."""
    groups = {group: f"unknown_classes{number}" for number, group in enumerate(UNKNOWN_GROUPS, start=1)}
    content = {
        name: {
            "data_path": "./dataset",
            "known_classes": lists["known"],
            **{key: lists["unknown"][group] for group, key in groups.items()},
        }
        for name, lists in splits.items()
    }
    return yaml.safe_dump(content)
