"""Lines of every release are read, and a stamp tells a changed file from one that is as it was."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from datasets.pixels.ledger import Entry, Ledger, Stamp, stamp_of


def test_lines_of_the_first_release_are_read_and_have_no_digest(tmp_path: Path) -> None:
    (tmp_path / "old").write_text('["a.png", 0, [10, 20], ["palette"], ""]\n["b.png", -1, [0, 5], [], "empty"]\n')
    assert Ledger(tmp_path / "old").read() == {
        "a.png": Entry(0, Stamp(10, 20, None), ("palette",), "", ""),
        "b.png": Entry(-1, Stamp(0, 5, None), (), "empty", ""),
    }


def test_what_is_written_is_read_and_the_last_line_of_an_image_counts(tmp_path: Path) -> None:
    first, last = Entry(0, Stamp(1, 2, 3), (), "", "aa"), Entry(1, Stamp(4, 5, 6), ("narrow",), "", "bb")
    Ledger(tmp_path / "new").append({"a.png": first, "b.png": first})
    Ledger(tmp_path / "new").append({"a.png": last})
    assert Ledger(tmp_path / "new").read() == {"a.png": last, "b.png": first}


@pytest.mark.parametrize(
    ("kept", "now", "fits"),
    [
        (Stamp(1, 2, 3), Stamp(1, 2, 3), True),
        (Stamp(1, 2, 3), Stamp(1, 2, 4), False),
        (Stamp(1, 2, 3), Stamp(1, 9, 3), False),
        (Stamp(1, 2, 3), Stamp(9, 2, 3), False),
        (Stamp(1, 2, None), Stamp(1, 2, 3), True),  # of the first release
        (Stamp(1, 2, None), Stamp(1, 9, 3), False),
    ],
)
def test_a_file_is_the_same_if_all_that_is_known_of_it_is(kept: Stamp, now: Stamp, fits: bool) -> None:
    assert kept.fits(now) is fits


def test_another_file_of_equal_size_and_time_has_another_stamp(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    before = stamp_of(str(tmp_path / "a"))
    (tmp_path / "b").write_bytes(b"two")
    shutil.copystat(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b").replace(tmp_path / "a")
    after = stamp_of(str(tmp_path / "a"))
    assert after[:2] == before[:2] == (3, os.stat(tmp_path / "a").st_mtime_ns)  # noqa: PTH116
    assert not before.fits(after)


def test_no_file_has_a_stamp_that_fits_none(tmp_path: Path) -> None:
    assert stamp_of(str(tmp_path / "gone")) == Stamp(-1, -1, -1)
