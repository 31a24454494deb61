"""Images that lost their traces are counted by class; sizes that classes share are no confound."""

from __future__ import annotations

from collections import Counter

import numpy as np

from datasets.checks.confounds.odd_images import odd_counts, odd_findings
from datasets.checks.findings import Finding
from datasets.files.listing import Listing
from datasets.pixels.ledger import Entry, Stamp


def counts(real: dict[str, int], a: dict[str, int]) -> dict[str, Counter[str]]:
    return {"real": Counter({"": 10, **real}), "a": Counter({"": 10, **a})}


def told(real: dict[str, int], a: dict[str, int]) -> list[Finding]:
    return list(odd_findings("split1", counts(real, a)))


def test_flags_are_counted_by_class_over_all_parts() -> None:
    def listing(*names: str) -> Listing:
        return Listing(names, np.array([name.startswith("a") for name in names], dtype=np.int64), ("real", "a"), names)

    flags = {"r1": ("enlarged", "constant"), "r2": (), "a1": ("narrow",), "r3": ("enlarged",)}
    stored = {name: Entry(0, Stamp(1, 1, 1), flag, "", "d") for name, flag in flags.items()}
    found = odd_counts({"train": listing("r1", "r2", "a1"), "test": listing("r3", "a2")}, stored)
    assert found == {"real": {"": 3, "enlarged": 2, "constant": 1}, "a": {"": 2, "narrow": 1}}


def test_one_constant_or_narrow_image_is_worth_a_warning() -> None:
    constant, narrow = told({"constant": 3}, {"narrow": 1, "constant": 1})
    assert (constant.status, narrow.status) == ("warning", "warning")
    assert constant.message == (
        "constant images: 3 of 10 of real, 1 of 10 of a; take them out of the folders, or give larger images"
    )
    assert narrow.message.startswith("narrow images: 1 of 10 of a;")


def test_enlarged_images_are_a_confound_where_classes_differ() -> None:
    (finding,) = told({"enlarged": 4}, {})
    assert finding.status == "warning"
    assert finding.message.startswith("enlarged images: 4 of 10 of real; classes differ in what enlarging leaves; ")
    assert "scale all classes alike" in finding.message
    (finding,) = told({"enlarged": 4}, {"enlarged": 4})
    assert (finding.status, finding.message[:27]) == ("note", "40% or more of every class ")
    (finding,) = told({"enlarged": 10}, {"enlarged": 10})
    assert finding.message == "all images are enlarged; choose a smaller image_size"


def test_usual_images_are_in_order() -> None:
    (finding,) = told({}, {})
    assert finding.status == "ok"
