"""The embedded data set as files in the layout of OSMA, for whoever wants images and lists, or another program.

DIR/OSMA/real/<photograph>/…png, DIR/OSMA/fake/<family>/<photograph>-<seed>/…png, annotation files next to OSMA/,
configs/data_list.yaml with the official keys, and manifest.json, which tells the loader how this was made. Photographs
that only the test knows get names with blanks and colons, as one source of OSMA has them.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from datasets.commands.options import SizeOptions, add_size_options
from datasets.console import progress, say
from datasets.core.command import Command
from datasets.core.partial import whole_folder
from datasets.core.text import readable
from datasets.errors import UserError
from datasets.mini.dataset import Mini
from datasets.osma.annotations import PREFIXES
from datasets.osma.layout import LISTS, MANIFEST, UNION, Layout
from datasets.pixels.disk import RESERVE
from datasets.splits import REAL, UNKNOWN_GROUPS
from datasets.types import ImageSet, Split

FIRST_SECOND = datetime(2011, 6, 26, 19, 33, 40)  # of the names with blanks and colons
OVERHEAD = 1.2  # of a PNG that does not compress, over its pixels, and of blocks on disk


@dataclass(frozen=True)
class ExportOptions(SizeOptions):
    """How much is written, and where."""

    to: Path


class Export(Command[ExportOptions]):
    """The embedded data set as files."""

    description = (
        "Write the embedded data set as image files in the layout of OSMA, to be used with --dataset osma. "
        "Give a preset's sizes to get, under that preset, the same figures from the files."
    )
    options = ExportOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dataset", default=Mini.name, choices=(Mini.name,), help="what to write (default: mini)")
        parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder that is not there yet")
        add_size_options(parser)

    def run(self, options: ExportOptions) -> int:
        """Write the files, and say how they are used with the same settings."""
        exported = export(Mini(options.settings()), options.to)
        say(f"{exported.images:,} images, {readable(exported.bytes)}, in {exported.folder}")
        say(f"use them: python run_all.py --dataset osma --data-root {exported.folder}")
        return 0


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where, a data root.
        images: files.
        bytes: of the image files.
    """

    folder: Path
    images: int
    bytes: int


def export(dataset: Mini, to: Path) -> Exported:
    """Write the five splits; the folder appears when all of them are whole.

    Args:
        dataset: its settings say how much is written, and at which size.
        to: a folder that is empty or not there yet.

    Raises:
        UserError: the target is taken, cannot be written, or the disk is too small.
    """
    to = to.resolve()
    _check_free(to)
    splits = [dataset.split(name) for name in dataset.split_names]
    with whole_folder(to, "choose another --to") as unfinished:
        exported = _write(dataset, splits, unfinished)
    return Exported(to, exported.images, exported.bytes)


def _check_free(to: Path) -> None:
    """Refuse a target that holds something, before any work is done."""
    if to.exists() and not to.is_dir():
        raise UserError(f"--to {to} is a file; name a folder that is not there yet")
    if to == Path.cwd():
        raise UserError(f"--to {to} is the working folder, which cannot be replaced; name a folder below it")
    if to.is_dir() and any(to.iterdir()):
        raise UserError(f"--to {to} is not empty; name a folder that is not there yet")


def _write(dataset: Mini, splits: list[Split], root: Path) -> Exported:
    layout = Layout(root, (root / "OSMA",), dataset.plan, True, {})
    files: dict[str, tuple[ImageSet, int]] = {}
    for split in splits:
        offset = 0
        parts = _parts(split)
        names = {part: _names(images, set(_sources(split.train))) for part, images in parts.items()}
        for part, images in parts.items():
            files |= {name: (images, position) for position, name in enumerate(names[part])}
            _write_lines(layout.annotation(split.name, part), names[part], images.labels.tolist(), "w")
        for group in UNKNOWN_GROUPS:  # the unknown groups once more, one after the other, in one file
            labels = (parts[group].labels + offset).tolist()
            _write_lines(layout.annotation(split.name, UNION), names[group], labels, "a")
            offset += len(parts[group].classes)
    _check_space(root, len(files), dataset.settings.image_size)
    size = sum(progress(_write_images(root / "OSMA", files), len(files), f"writing {len(files):,} images"))
    _write_text(root / LISTS, yaml.safe_dump(_lists(splits), sort_keys=False))
    _write_text(root / MANIFEST, json.dumps(_manifest(dataset, splits, len(files), size), indent=1) + "\n")
    return Exported(root, len(files), size)


def _parts(split: Split) -> dict[str, ImageSet]:
    return {"train": split.train, "val": split.val, "test": split.test, **split.unknown}


def _sources(images: ImageSet) -> list[str]:
    return [] if images.sources is None else images.sources.tolist()


def _names(images: ImageSet, seen: set[str]) -> list[str]:
    """The path of each image below OSMA/."""
    rows = zip(images.ids.tolist(), images.labels.tolist(), _sources(images), strict=True)
    return [_name(identity, images.classes[label], source, seen) for identity, label, source in rows]


def _name(identity: str, origin: str, source: str, seen: set[str]) -> str:
    """The path of an image called SOURCE/ROLE/NUMBER."""
    role, number = identity.split("/")[-2:]
    if origin == REAL:
        moment = FIRST_SECOND + timedelta(seconds=int(number))
        return f"real/{source}/" + (f"{role}_{number}.png" if source in seen else f"{moment}_real.png")
    content, family, seed = origin.split("-")
    return f"fake/{family}/{content}-{seed}/{role}_{number}.png"


def _write_lines(path: Path, names: list[str], labels: list[int], mode: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode, encoding="utf-8", newline="\n") as file:
        file.writelines(f"{PREFIXES[0]}{name}\t{label}\n" for name, label in zip(names, labels, strict=True))


def _write_images(base: Path, files: Mapping[str, tuple[ImageSet, int]]) -> Iterator[int]:
    """The bytes of each file."""
    for name, (images, position) in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.batch(np.array([position]))[0]).save(path)
        yield path.stat().st_size


def _check_space(root: Path, images: int, side: int) -> None:
    need, free = int(images * side * side * 3 * OVERHEAD), shutil.disk_usage(root).free
    if need + RESERVE > free:
        raise UserError(
            f"{images:,} images take up to {readable(need)} in {root.parent}, which has {readable(free)} free; "
            "free space, export fewer images, or choose another --to"
        )


def _lists(splits: list[Split]) -> dict[str, dict[str, list[str]]]:
    """Class lists under the keys of the official file."""
    keys = {group: f"unknown_classes{number}" for number, group in enumerate(UNKNOWN_GROUPS, start=1)}
    return {
        split.name: {
            "known_classes": list(split.test.classes),
            **{key: list(split.unknown[group].classes) for group, key in keys.items()},
        }
        for split in splits
    }


def _manifest(dataset: Mini, splits: list[Split], images: int, size: int) -> dict[str, Any]:
    return {
        "title": dataset.title,
        "recipe": dataset.fingerprint,
        "settings": dataset.settings.model_dump(),
        "splits": [split.name for split in splits],
        "images": images,
        "bytes": size,
    }


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
