"""The published annotation files of OSMA: recognised by their hashes, compared by their counts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict

from datasets.checks.findings import Finding
from datasets.osma.annotations import Annotation
from datasets.osma.layout import SUBSET
from datasets.splits import FOLDER

DIGITS = 12  # of a hash

Files = Mapping[tuple[str, str], Annotation]  # by split and role


class Published(BaseModel):
    """datasets/splits/osma_published.yaml, where every key is explained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hashes: dict[str, dict[str, str]]
    known: dict[str, tuple[int, ...]]
    unknown_per_label: int
    subset_per_label: int
    classes: dict[str, int]
    real_sources: dict[str, tuple[int, int, int]]
    video_folders: tuple[str, ...]

    def counts(self, split: str, role: str) -> tuple[int, ...]:
        """Lines by label of one file."""
        if split != SUBSET and role in self.known:
            return self.known[role]
        return (self.subset_per_label if split == SUBSET else self.unknown_per_label,) * self.classes[role]


@lru_cache(maxsize=1)
def published() -> Published:
    """What is known of the published files."""
    return Published.model_validate(yaml.safe_load((FOLDER / "osma_published.yaml").read_text(encoding="utf-8")))


def short_hash(path: Path) -> str:
    """As in the list of hashes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]


def published_findings(files: Files, facts: Published) -> list[Finding]:
    """Compare with the published files, if these are they: one equal file is enough to say so.

    Args:
        files: all annotation files that could be read.
        facts: `published()`.
    """
    hashes = {key: short_hash(annotation.path) for key, annotation in files.items()}
    equal = [key for key in files if hashes[key] == _hash(facts, key)]
    if not equal:
        text = "no file is a published one: published counts and hashes are not asked for"
        return [Finding("published", "osma", "note", text)]
    findings = []
    for split in dict.fromkeys(split for split, _ in files):
        mine = [key for key in files if key[0] == split]
        other = [key for key in mine if key not in equal]
        findings += [
            Finding("published", split, "warning", "; ".join(_differences(files[key], key, hashes[key], facts)))
            for key in other
        ]
        if not other:
            findings.append(Finding("published", split, "ok", f"{len(mine)} files, hashes and counts as published"))
    return findings


def _hash(facts: Published, key: tuple[str, str]) -> str | None:
    split, role = key
    return facts.hashes.get(split, {}).get(role)


def _differences(annotation: Annotation, key: tuple[str, str], found: str, facts: Published) -> Iterator[str]:
    """What is not as published in a file whose hash is not."""
    expected = _hash(facts, key)
    if expected is None:
        yield f"{annotation.path} is none of the published files"
        return
    yield f"{annotation.path} has SHA-256 {found}…, published is {expected}…; unpack it again"
    counts = facts.counts(*key)
    yield from _count_differences(annotation, counts)
    if key[0] != SUBSET and key[1] in facts.known:
        yield from _source_differences(annotation, key[1], facts)


def _count_differences(annotation: Annotation, counts: Sequence[int]) -> Iterator[str]:
    lines = len(annotation.names)
    if lines != sum(counts):
        yield f"{lines:,} lines, published are {sum(counts):,}"
    found = np.bincount(annotation.labels, minlength=len(counts)).tolist()
    wrong = [label for label, count in enumerate(counts) if found[label] != count]
    if wrong:
        yield f"label {wrong[0]} has {found[wrong[0]]:,} lines, published are {counts[wrong[0]]:,}"


def _source_differences(annotation: Annotation, role: str, facts: Published) -> Iterator[str]:
    position = list(facts.known).index(role)
    real = Counter(name.split("/")[1] for name in annotation.names if name.startswith("real/"))
    expected = {source: counts[position] for source, counts in facts.real_sources.items()}
    wrong = [source for source in sorted({*real, *expected}) if real[source] != expected.get(source, 0)]
    if wrong:
        yield f"source {wrong[0]} has {real[wrong[0]]:,} images, published are {expected.get(wrong[0], 0):,}"
