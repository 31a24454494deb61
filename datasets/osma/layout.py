"""Where things lie in the published OSMA data: annotation files, images, class lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, RootModel

from datasets.core.strict_json import read_json
from datasets.core.strict_yaml import parsed, read_yaml
from datasets.errors import UserError
from datasets.splits import REAL, UNKNOWN_GROUPS, Plan, load_plan, parse_split

SUBSET = "subset"
SUBSET_OF = "split1"  # whose class lists the labels of the subset follow
UNION = "out"  # all unknown images of a split in one file; says nothing that the unknown groups do not say
LISTS = "configs/data_list.yaml"
MANIFEST = "manifest.json"


class OfficialSplit(BaseModel):
    """A split as the official configs/data_list.yaml writes it; its other keys are paths, which we know."""

    model_config = ConfigDict(extra="ignore", strict=True)

    known_classes: list[str]
    unknown_classes1: list[str]
    unknown_classes2: list[str]
    unknown_classes3: list[str]


class OfficialLists(RootModel[dict[str, OfficialSplit]]):
    """The file: splits by name."""


@dataclass(frozen=True)
class Layout:
    """A data root that was found to be one.

    Attributes:
        home: the folder that holds OSMA/ and split1_train/.
        images: the folders that the paths in the annotation files are relative to; the first that has an image wins.
        plan: class lists, those of the root if it has its own.
        own_lists: whether it has its own and they differ from the published ones.
        manifest: what an export says of itself; empty for the published data.
    """

    home: Path
    images: tuple[Path, ...]
    plan: Plan
    own_lists: bool
    manifest: Mapping[str, Any]

    def annotation(self, split: str, role: str) -> Path:
        """The file of a role ("train", "val", "test"), an unknown group ("seed", "arch", "dataset") or their union."""
        name = role if role in ("train", "val", "test") else "test_out" if role == UNION else f"test_out_{role}"
        if split == SUBSET:
            return self.home / "subset_annotations" / f"{name}.txt"
        return self.home / f"{split}_{name.split('_')[0]}" / "annotations" / f"{split}_{name}.txt"

    def roles(self, split: str) -> tuple[str, ...]:
        """The files that make a split."""
        return ("test", *UNKNOWN_GROUPS) if split == SUBSET else ("train", "val", "test", *UNKNOWN_GROUPS)

    def has(self, split: str) -> bool:
        """Whether any file of the split is there."""
        return any(self.annotation(split, role).is_file() for role in self.roles(split))

    @property
    def folders(self) -> dict[str, str]:
        """Folders of classes, relative to the images, as far as they are known."""
        return {REAL: REAL, **{name: f"fake/{folder}" for name, folder in self.plan.folders.items()}}


def find_layout(root: Path) -> Layout:
    """The layout below a data root: the folder that holds OSMA/, or the one above it, as in the official repository.

    Raises:
        UserError: the folder is not there or does not hold OSMA.
    """
    if not root.is_dir():
        raise UserError(f"--data-root {root} is no folder; give the one that holds OSMA/ and split1_test/")
    carried = load_plan("osma")
    for home in (root, root / "dataset"):
        images = tuple(folder for folder in (home / "OSMA", home / "OSMA_subset") if folder.is_dir())
        plan = _class_lists(home) or carried
        layout = Layout(home, images, plan, plan.splits != carried.splits, _manifest(home))
        if any(map(layout.has, (*plan.splits, SUBSET))):
            if not images:
                raise UserError(
                    f"{home} has annotation files, but neither OSMA/ nor OSMA_subset/; unpack the images there"
                )
            return layout
    example = "split1_test/annotations/split1_test.txt"
    raise UserError(f"--data-root {root} holds no {example}; give the folder that holds OSMA/ and split1_test/")


def _class_lists(home: Path) -> Plan | None:
    """The lists that lie with the data, in the official form; None if there are none."""
    path = next((place / LISTS for place in (home, home.parent) if (place / LISTS).is_file()), None)
    if path is None:
        return None
    document = read_yaml(path)
    splits = {}
    for name, entry in parsed(OfficialLists, document).root.items():
        unknown = (entry.unknown_classes1, entry.unknown_classes2, entry.unknown_classes3)
        lists = {"known": entry.known_classes, "unknown": dict(zip(UNKNOWN_GROUPS, unknown, strict=True))}
        splits[name] = parse_split(name, lists, document.where([name]))
    return Plan("osma", splits, load_plan("osma").folders)


def _manifest(home: Path) -> dict[str, Any]:
    path = home / MANIFEST
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged; export the data again")
    return content
