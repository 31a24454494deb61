"""The carried facts about the published files, and what they are compared with."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from datasets.checks.published import Published, published, published_findings
from datasets.osma.annotations import Annotation, read_annotation
from tests.datasets.osma_tree import FAKE, PLAN, REAL, Tree

ROLES = ("train", "val", "test")


def all_files(tree: Tree) -> dict[tuple[str, str], Annotation]:
    return {key: read_annotation(tree.annotation(*key)) for key in tree.lines}


def as_published(tree: Tree) -> Published:
    """Facts under which a small tree is the published one."""
    hashes: dict[str, dict[str, str]] = {}
    for split, role in tree.lines:
        content = tree.annotation(split, role).read_bytes()
        hashes.setdefault(split, {})[role] = hashlib.sha256(content).hexdigest()[:12]
    return published().model_copy(update={"hashes": hashes})


def test_the_carried_counts_are_the_published_ones() -> None:
    facts = published()
    lines = {"train": 59998, "val": 7500, "test": 8000, "out": 26500, "seed": 5000, "arch": 11000, "dataset": 10500}
    for number in range(1, 6):
        assert {role: sum(facts.counts(f"split{number}", role)) for role in lines} == lines
    subset = {"test": 1500, "seed": 1000, "arch": 2200, "dataset": 2100}
    assert {role: sum(facts.counts("subset", role)) for role in subset} == subset
    assert {role: facts.known[role][1:] for role in ROLES} == FAKE
    assert facts.real_sources == {source: tuple(counts) for source, (*counts, _) in REAL.items()}
    for position, role in enumerate(ROLES):  # the real class is the sum of its sources
        assert facts.known[role][0] == sum(counts[position] for counts in facts.real_sources.values())


def test_there_is_a_hash_for_each_of_the_39_files() -> None:
    hashes = published().hashes
    digits = [digest for roles in hashes.values() for digest in roles.values()]
    assert len(digits) == 39 and all(len(digest) == 12 and int(digest, 16) for digest in digits)
    assert [len(hashes[split]) for split in (*PLAN["splits"], "subset")] == [7, 7, 7, 7, 7, 4]
    # These two files are equal byte for byte, and no others.
    assert hashes["split3"]["dataset"] == hashes["split4"]["dataset"] and len(set(digits)) == 38


def test_other_data_is_not_measured_by_the_published_counts(whole_tree: Tree) -> None:
    findings = published_findings(all_files(whole_tree), published())
    assert [finding.status for finding in findings] == ["note"]


def test_equal_hashes_are_clean(whole_tree: Tree) -> None:
    findings = published_findings(all_files(whole_tree), as_published(whole_tree))
    assert [(finding.where, finding.status) for finding in findings] == [
        (split, "ok") for split in (*PLAN["splits"], "subset")
    ]


def test_one_changed_file_among_published_ones_is_told_with_its_counts(tree: Tree) -> None:
    facts = as_published(tree)
    path = tree.annotation("split2", "train")
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    warnings = [finding for finding in published_findings(all_files(tree), facts) if finding.status == "warning"]
    assert [finding.where for finding in warnings] == ["split2"]
    message = warnings[0].message
    assert str(path) in message and "1 lines, published are 59,998" in message
    assert "published are 4,021" in message


@pytest.mark.parametrize("folder", published().video_folders)
def test_video_folders_are_folders_of_classes(folder: str) -> None:
    kind, _, below = folder.partition("/")
    assert Path(below).name in REAL if kind == "real" else below in PLAN["folders"].values()
