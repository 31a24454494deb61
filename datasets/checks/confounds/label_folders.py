"""One folder of images under two labels: what exchanged labels in one list look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from datasets.checks.findings import Finding
from datasets.files.listing import ROLES, Listing
from datasets.splits import UNKNOWN_GROUPS


def label_folder_findings(split: str, parts: Mapping[str, Listing], one_class: bool) -> Iterator[Finding]:
    """Compare the classes that a folder's images have in the parts of a split.

    Args:
        parts: all that the lists name, by role and unknown group.
        one_class: whether a folder holds one class by the layout of the data. Elsewhere classes may share a folder and
            differ in the names of files; then only a folder whose classes in two roles have nothing in common is told.
    """
    classes_of: dict[str, dict[str, set[str]]] = {}  # by folder, then by part
    for part in (*ROLES, *UNKNOWN_GROUPS) if one_class else ROLES:
        listing = parts[part]
        for name, label in zip(listing.names, listing.labels.tolist(), strict=True):
            by_part = classes_of.setdefault(name.rpartition("/")[0], {})
            by_part.setdefault(part, set()).add(listing.classes[label])
    told = [(folder, by_part) for folder, by_part in sorted(classes_of.items()) if _disagree(by_part, one_class)]
    if not told:
        yield Finding("labels of folders", split, "ok", "every folder has the same classes in all roles")
        return
    folder, by_part = told[0]
    said = ", ".join(f"'{_some(names)}' in {part}" for part, names in by_part.items())
    text = f"{len(told):,} folders stand under two labels, such as {folder or 'the root'}: {said}"
    yield Finding("labels of folders", split, "warning", f"{text}; correct the labels in one of the lists")


def _disagree(by_part: Mapping[str, set[str]], one_class: bool) -> bool:
    if one_class:
        return len(set[str]().union(*by_part.values())) > 1
    return any(not first & second for first, second in combinations(by_part.values(), 2))


def _some(names: set[str]) -> str:
    return "', '".join(sorted(names)[:3])
