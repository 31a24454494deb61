"""The digest of a set changes with what is in it, and with nothing else."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from datasets.files.listing import Listing
from datasets.files.set_digest import set_digest

DIGESTS = {"x/1.png": "aa", "x/2.png": "bb", "y/1.png": "cc"}


def listing(names: list[str], labels: list[int], classes: tuple[str, ...] = ("x", "y")) -> Listing:
    return Listing(names, np.array(labels, dtype=np.int64), classes, names)


def parts(*names: str, labels: tuple[int, ...] = (0, 0, 1), role: str = "train") -> dict[str, dict[str, Listing]]:
    return {"split1": {role: listing(list(names or DIGESTS), list(labels))}}


BASE = set_digest(parts(), DIGESTS)


def test_it_is_sha256_of_one_line_for_each_image() -> None:
    lines = b'["split1", "train", ["x", "y"]]x/1.png\t0\taa\nx/2.png\t0\tbb\ny/1.png\t1\tcc\n'
    assert hashlib.sha256(lines).hexdigest() == BASE


def test_the_order_of_images_and_what_is_not_used_do_not_matter() -> None:
    assert set_digest(parts("y/1.png", "x/2.png", "x/1.png", labels=(1, 0, 0)), {**DIGESTS, "z": "dd"}) == BASE


@pytest.mark.parametrize(
    ("other", "digests"),
    [
        (parts(), {**DIGESTS, "x/2.png": "bc"}),  # pixels
        (parts(), dict.fromkeys(DIGESTS, "aa")),
        (parts(), {"x/1.png": "aa", "x/2.png": "bb"}),  # one is unreadable
        (parts(labels=(0, 1, 1)), DIGESTS),
        (parts(role="val"), DIGESTS),
        (parts("x/1.png", "x/2.png", labels=(0, 0)), DIGESTS),
        ({"split2": parts()["split1"]}, DIGESTS),
        ({"split1": {"train": listing(list(DIGESTS), [0, 0, 1], ("y", "x"))}}, DIGESTS),  # names of labels
    ],
)
def test_names_labels_roles_classes_and_pixels_matter(
    other: dict[str, dict[str, Listing]], digests: dict[str, str]
) -> None:
    assert set_digest(other, digests) != BASE


def test_exchanged_pixels_of_two_images_matter() -> None:
    assert set_digest(parts(), {**DIGESTS, "x/1.png": "bb", "x/2.png": "aa"}) != BASE


def test_names_that_are_no_text_are_digested() -> None:
    assert set_digest(parts("\udcff", "b", "c"), {"\udcff": "aa"}) != set_digest(parts("\udcfe", "b", "c"), {})
