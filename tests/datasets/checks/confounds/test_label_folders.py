"""One folder under two labels is told; classes that share a folder by the user's wish are not."""

from __future__ import annotations

import numpy as np

from datasets.checks.confounds.label_folders import label_folder_findings
from datasets.checks.findings import Finding
from datasets.files.listing import ROLES, Listing
from datasets.splits import UNKNOWN_GROUPS

CLASSES = ("real", "a", "b")


def listing(*rows: tuple[str, int], classes: tuple[str, ...] = CLASSES) -> Listing:
    names = [name for name, _ in rows]
    return Listing(names, np.array([label for _, label in rows], dtype=np.int64), classes, names)


def told(one_class: bool = True, **parts: Listing) -> Finding:
    nothing = dict.fromkeys((*ROLES, *UNKNOWN_GROUPS), Listing.empty(()))
    (finding,) = label_folder_findings("split1", nothing | parts, one_class)
    return finding


RIGHT = listing(("x/a/1.png", 1), ("x/b/1.png", 2))
SWAPPED = listing(("x/a/2.png", 2), ("x/b/2.png", 1))


def test_exchanged_labels_of_one_list_are_found() -> None:
    for one_class in (True, False):
        assert told(one_class, train=RIGHT, val=RIGHT, test=RIGHT).status == "ok"
        finding = told(one_class, train=RIGHT, val=RIGHT, test=SWAPPED)
        assert (finding.check, finding.status) == ("labels of folders", "warning")
        assert finding.message == (
            "2 folders stand under two labels, such as x/a: 'a' in train, 'a' in val, 'b' in test; "
            "correct the labels in one of the lists"
        )


def test_a_folder_that_is_known_and_unknown_is_found_where_folders_hold_one_class() -> None:
    unknown = listing(("x/a/3.png", 0), classes=("c",))
    assert told(train=RIGHT, arch=unknown).status == "warning"
    assert told(False, train=RIGHT, arch=unknown).status == "ok"


def test_classes_may_share_a_folder_and_differ_in_the_names_of_files() -> None:
    mixed, one = listing(("x/a1.png", 1), ("x/b1.png", 2)), listing(("x/a2.png", 1))
    assert told(False, train=mixed, val=one, test=mixed).status == "ok"
    assert told(True, train=mixed).status == "warning"
