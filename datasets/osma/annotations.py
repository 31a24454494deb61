"""The published text format of OSMA: one line per image: its path, a TAB, its label."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.core.outside import read_file
from datasets.core.text import shown, utf8
from datasets.errors import UserError
from datasets.types import Index

LARGEST = 1 << 30  # bytes; the largest published list has 8 MB
PREFIXES = ("./dataset/OSMA/", "./dataset/OSMA_subset/")

# Control characters, backslashes, and the parts "", "." and "..": what a path below the images never holds.
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|(?:^|/)\.{0,2}(?=/|$)")


@dataclass(frozen=True)
class Annotation:
    """The content of one file, line by line.

    Attributes:
        path: the file.
        names: (N,) paths below OSMA/ or OSMA_subset/; that of line n is at n - 1.
        labels: (N,) int64.
    """

    path: Path
    names: tuple[str, ...]
    labels: Index

    def where(self, position: int) -> str:
        """The place of an entry, for messages."""
        return f"{self.path}:{position + 1}"


def read_annotation(path: Path) -> Annotation:
    """Read one annotation file.

    Raises:
        UserError: it cannot be read, or a line is not PATH TAB LABEL with a path that stays below the images.
    """
    try:
        content = read_file(path, LARGEST)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); unpack the annotation files there") from None
    return parse_annotation(content, path)


def parse_annotation(content: bytes, path: Path) -> Annotation:
    """As `read_annotation`, of bytes that are read already."""
    lines = utf8(content, path).split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise UserError(f"{path} is empty; unpack the annotation files again")
    names, labels = [], np.empty(len(lines), dtype=np.int64)
    for position, line in enumerate(lines):
        name, _, label = line.removesuffix("\r").rpartition("\t")
        below = _below(name)
        if below is None or not _is_label(label):
            raise UserError(f"{path}:{position + 1}: {_mistake(line)}")
        names.append(below)
        labels[position] = int(label)
    return Annotation(path, tuple(names), labels)


def _below(name: str) -> str | None:
    """The path without its prefix; None if it has none or does not stay below it."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            below = name[len(prefix) :]
            return None if UNSAFE.search(below) else below
    return None


def _is_label(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _mistake(line: str) -> str:
    """What is wrong with a line that was refused, and what to do."""
    name, tab, label = line.removesuffix("\r").rpartition("\t")
    if not line.strip():
        return "empty line; delete it"
    if not tab:
        return f"no TAB in {shown(line)}; write PATH, a TAB, LABEL"
    if not _is_label(label):
        return f"label {shown(label)} is not a whole number from 0; write PATH, a TAB, LABEL"
    if name.startswith(PREFIXES):
        return f"path {shown(name)} may leave the data root; use no '..', '//', backslash or control character"
    return f"path {shown(name)} does not start with {' or '.join(PREFIXES)}; write it as published"


def check_labels(annotation: Annotation, classes: Sequence[str]) -> None:
    """Every label names a class, and every class has a line.

    Raises:
        UserError: otherwise.
    """
    beyond = np.flatnonzero(annotation.labels >= len(classes))
    if len(beyond):
        raise UserError(
            f"{annotation.where(beyond[0])}: label {annotation.labels[beyond[0]]}, but the class list names "
            f"{len(classes)} classes (0 to {len(classes) - 1}); correct the label or the list"
        )
    empty = np.setdiff1d(np.arange(len(classes)), annotation.labels)
    if len(empty):
        raise UserError(
            f"{annotation.path}: no line has label {empty[0]}, class '{classes[empty[0]]}'; "
            "add its images or take the class off the list"
        )


def check_folders(annotation: Annotation, classes: Sequence[str], folders: Mapping[str, str]) -> None:
    """Images lie in the folder of their class, as far as it is known.

    Args:
        folders: by class, relative to OSMA/, such as "fake/ProGAN/bus".

    Raises:
        UserError: a label and a path disagree.
    """
    starts = [f"{folders[name]}/" if name in folders else "" for name in classes]
    for position, (name, label) in enumerate(zip(annotation.names, annotation.labels.tolist(), strict=True)):
        if not name.startswith(starts[label]):
            raise UserError(
                f"{annotation.where(position)}: label {label} is class '{classes[label]}', whose images lie in "
                f"{starts[label]}, not {shown(name)}; correct the label"
            )


def check_roles(annotations: Sequence[Annotation]) -> None:
    """No image stands twice in the files of a split.

    Raises:
        UserError: one does.
    """
    seen: dict[str, str] = {}
    for annotation in annotations:
        before = len(seen)
        seen |= dict.fromkeys(annotation.names, "")
        if len(seen) != before + len(annotation.names):
            raise UserError(_second_mention(annotations))


def _second_mention(annotations: Sequence[Annotation]) -> str:
    first: dict[str, str] = {}
    for annotation in annotations:
        for position, name in enumerate(annotation.names):
            if name in first:
                return (
                    f"{annotation.where(position)}: {shown(name)} stands in {first[name]} too; delete one of the lines"
                )
            first[name] = annotation.where(position)
    raise AssertionError("no image stands twice")


def check_union(union: Annotation, unknown_groups: Sequence[Annotation], sizes: Sequence[int]) -> None:
    """The file of all unknown images holds those of the unknown groups, labels shifted by the classes of those before.

    Args:
        sizes: number of classes of each unknown group.

    Raises:
        UserError: an image is missing, too many, or has another label.
    """
    expected: dict[str, int] = {}
    for group, offset in zip(unknown_groups, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True):
        expected |= dict(zip(group.names, (group.labels + offset).tolist(), strict=True))
    for position, (name, label) in enumerate(zip(union.names, union.labels.tolist(), strict=True)):
        if expected.pop(name, None) != label:
            raise UserError(
                f"{union.where(position)}: {shown(name)} with label {label} is not what the files of the unknown "
                "groups give; delete this file, it is not needed, or unpack all of them again"
            )
    if expected:
        raise UserError(
            f"{union.path}: {len(expected)} images of the unknown groups are missing, such as {shown(min(expected))}; "
            "delete this file, it is not needed, or unpack all of them again"
        )
