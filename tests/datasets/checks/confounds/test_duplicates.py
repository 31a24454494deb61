"""Copies are found by their pixels, and counted by the pairs of places that they stand in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.checks.confounds.duplicates import Spot, twin_findings, twins
from datasets.files.listing import Listing
from datasets.pixels.ledger import Entry, Stamp

CLASSES = ("real", "a")


def entry(digest: str, *flags: str) -> Entry:
    return Entry(0, Stamp(1, 1, 1), flags, "", digest)


def listing(*rows: tuple[str, int], classes: tuple[str, ...] = CLASSES) -> Listing:
    names = [name for name, _ in rows]
    return Listing(names, np.array([label for _, label in rows], dtype=np.int64), classes, names)


PARTS = {
    "train": listing(("r1", 0), ("r1 again", 0), ("r2", 0), ("a1", 1)),
    "test": listing(("r1 copy", 0), ("r3", 0), ("a2", 1)),
    "arch": listing(("b1", 0), ("b2", 0), classes=("b",)),
}
STORED = {
    **{name: entry("one") for name in ("r1", "r1 again", "r1 copy")},  # twice in train, once in test
    **{name: entry("two") for name in ("a1", "b1")},  # known and unknown
    **{name: entry("black", "constant") for name in ("r3", "a2", "b2")},  # equal, and no copies
    "r2": entry("three"),
}


def test_pairs_of_places_and_copies_within_one_are_counted() -> None:
    found = twins(PARTS, STORED)
    assert found.between == {
        (Spot("real", "train"), Spot("real", "test")): 1,
        (Spot("a", "train"), Spot("b", "arch")): 1,
    }
    assert found.within == {Spot("real", "train"): 1}
    assert sorted(found.groups) == [["a1", "b1"], ["r1", "r1 again", "r1 copy"]]


def test_copies_are_told_with_a_remedy_and_equal_bytes_apart_from_equal_pixels(tmp_path: Path) -> None:
    files = {}
    for name in STORED:
        path = tmp_path / name
        path.write_bytes(b"same" if name in ("a1", "b1") else name.encode())
        files[name] = str(path)
    warning, note = twin_findings("split1", twins(PARTS, STORED), files)
    assert (warning.check, warning.where, warning.status) == ("duplicates", "split1", "warning")
    assert warning.message == (
        "2 images stand in several roles or classes (1 byte for byte): real train = real test 1, a train = b arch 1, "
        "such as a1 = b1; delete the copies from all but one place, or let only one place hold them"
    )
    assert (note.status, note.message[:9]) == ("note", "1 copies ")


def test_images_of_their_own_are_in_order() -> None:
    stored = {name: entry(name) for name in STORED}
    (finding,) = twin_findings("split1", twins(PARTS, stored), {})
    assert finding.status == "ok"


def test_images_that_could_not_be_read_are_no_copies_of_each_other() -> None:
    assert twins(PARTS, {}).between == {}
