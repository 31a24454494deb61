"""Checks of the lists alone: who is in which role, and under which label."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from datasets.checks.findings import Finding, attempted
from datasets.errors import UserError
from datasets.files.listing import ROLES, Listing
from datasets.files.parts import parts_of
from datasets.osma.annotations import (
    Annotation,
    check_folders,
    check_labels,
    check_roles,
    check_union,
    read_annotation,
)
from datasets.osma.layout import SUBSET, SUBSET_OF, UNION, Layout
from datasets.splits import UNKNOWN_GROUPS, SplitPlan
from datasets.types import Dataset

Files = dict[tuple[str, str], Annotation]  # by split and role


def annotation_findings(layout: Layout) -> tuple[list[Finding], Files]:
    """Checks of annotation files, and those of them that could be read."""
    findings, files = list[Finding](), Files()
    there = [split for split in (*layout.plan.splits, SUBSET) if layout.has(split)]
    absent = [split for split in layout.plan.splits if split not in there]
    if absent and there != [SUBSET]:
        text = f"no annotation files of {', '.join(absent)}: averages are over fewer splits"
        findings.append(Finding("files", "osma", "warning", text))
    for split in there:
        read, outcome = _read_split(layout, split)
        findings += outcome
        files |= {(split, role): annotation for role, annotation in read.items()}
        plan = layout.plan.splits.get(SUBSET_OF if split == SUBSET else split)
        if plan is None:
            findings.append(Finding("classes", split, "error", f"the class lists have no '{SUBSET_OF}'; add it"))
        else:
            findings += _content_findings(layout, split, plan, read)
    return findings, files


def _read_split(layout: Layout, split: str) -> tuple[dict[str, Annotation], list[Finding]]:
    """The files that are there and well-formed, by role."""
    read: dict[str, Annotation] = {}
    findings: list[Finding] = []
    wanted = [role for role in (*layout.roles(split), UNION) if layout.annotation(split, role).is_file()]
    for role in layout.roles(split):
        if role not in wanted:
            path = layout.annotation(split, role)
            findings.append(Finding("files", split, "error", f"{path} is missing; unpack the annotation files there"))
    if UNION not in wanted and split != SUBSET:  # the published subset has none
        path = layout.annotation(split, UNION)
        findings.append(Finding("files", split, "note", f"{path} is missing; nothing needs it"))
    for role in wanted:
        try:
            read[role] = read_annotation(layout.annotation(split, role))
        except UserError as error:
            findings.append(Finding("lines", split, "error", str(error)))
    findings += _line_ends(read, split)
    if not findings:
        lines = sum(len(annotation.names) for annotation in read.values())
        findings.append(Finding("files", split, "ok", f"{len(read)} files, {lines:,} lines of path, TAB, label"))
    return read, findings


def _line_ends(read: dict[str, Annotation], split: str) -> Iterator[Finding]:
    """The official reader takes the carriage return of other systems into the label's text."""
    for annotation in read.values():
        content = annotation.path.read_bytes()
        if b"\r" in content or not content.endswith(b"\n"):
            text = f"{annotation.path} does not end each line with a line feed alone; it is read all the same"
            yield Finding("lines", split, "note", text)


def _content_findings(layout: Layout, split: str, plan: SplitPlan, read: dict[str, Annotation]) -> list[Finding]:
    """What the lines say, against the class lists and against each other."""
    classes = {role: plan.unknown[role] if role in UNKNOWN_GROUPS else plan.known for role in read}
    parts = {role: annotation for role, annotation in read.items() if role != UNION}
    findings = attempted(
        "labels",
        split,
        [partial(check_labels, annotation, classes[role]) for role, annotation in parts.items()],
        "every label names a class, every class has lines",
    )
    if findings[0].status == "ok":
        findings += attempted(
            "folders",
            split,
            [partial(check_folders, annotation, classes[role], layout.folders) for role, annotation in parts.items()],
            "images lie in the folders of their classes",
        )
    findings += attempted(
        "roles", split, [partial(check_roles, list(parts.values()))], "no image stands in two lines or two roles"
    )
    if UNION in read and set(UNKNOWN_GROUPS) <= set(parts):
        unknown, sizes = (
            [parts[group] for group in UNKNOWN_GROUPS],
            [len(plan.unknown[group]) for group in UNKNOWN_GROUPS],
        )
        attempts = [partial(check_union, read[UNION], unknown, sizes)]
        findings += attempted("union", split, attempts, "test_out holds the three unknown groups with shifted labels")
    return findings


def listing_findings(dataset: Dataset, split: str) -> list[Finding]:
    """The same of a data set that has no annotation files."""
    try:
        parts = parts_of(dataset, split)
    except UserError as error:
        return [Finding("lists", split, "error", str(error))]
    findings = [Finding("labels", split, "error", text) for text in _empty_classes(dataset, split)]
    if not findings:
        images = sum(len(listing.names) for listing in parts.values())
        known, unknown = len(parts["test"].classes), sum(len(parts[group].classes) for group in UNKNOWN_GROUPS)
        text = f"{images:,} images, {known} known and {unknown} unknown classes, none without images"
        findings.append(Finding("labels", split, "ok", text))
    names = [name for listing in parts.values() for name in listing.names]
    if len(set(names)) < len(names):
        text = f"{len(names) - len(set(names)):,} images stand in two roles"
        return [*findings, Finding("roles", split, "error", text)]
    return [*findings, Finding("roles", split, "ok", "no image stands in two roles")]


def _empty_classes(dataset: Dataset, split: str) -> Iterator[str]:
    parts = parts_of(dataset, split)
    for part in (*ROLES, *UNKNOWN_GROUPS):
        for label in _unused(parts[part]):
            yield f"class '{parts[part].classes[label]}' has no image in {part}; add some or take it off the list"


def _unused(listing: Listing) -> list[int]:
    return np.setdiff1d(np.arange(len(listing.classes)), listing.labels).tolist()
