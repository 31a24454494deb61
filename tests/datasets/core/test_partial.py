"""Files and folders appear whole or not at all."""

from __future__ import annotations

import errno
import os
from itertools import count
from pathlib import Path

import pytest

from datasets.core.partial import drop_partials, partial_of, whole_file, whole_folder, write_whole
from datasets.core.places import Unwritable


def test_a_file_appears_under_its_name_when_the_block_ends(tmp_path: Path) -> None:
    place = tmp_path / "numbers.csv"
    with whole_file(place) as unfinished:
        unfinished.write_text("1,2\n")
        assert not place.exists()
    assert place.read_text() == "1,2\n"
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.csv"]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "numbers.csv"
    place.write_text("old")
    with pytest.raises(UnicodeEncodeError), whole_file(place) as unfinished:
        unfinished.write_text("½", encoding="ascii")
    assert place.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.csv"]


def test_a_link_keeps_leading_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with whole_file(tmp_path / "link") as unfinished:
        unfinished.write_text("x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "x"


def test_a_folder_in_the_place_of_a_file_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unwritable, match="folder: Is a directory"), whole_file(tmp_path / "folder") as unfinished:
        unfinished.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    place = tmp_path / "cell"
    place.mkdir()
    (place / "old").touch()
    with whole_folder(place) as unfinished:
        (unfinished / "new").write_text("x")
    assert [path.name for path in place.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["cell"]


def test_a_folder_that_fails_leaves_the_old_one_and_forgets_what_a_killed_process_left(tmp_path: Path) -> None:
    place = tmp_path / "cell"
    place.mkdir()
    (place / "old").touch()
    partial_of(place).mkdir()
    (partial_of(place) / "left over").touch()
    with pytest.raises(FileNotFoundError), whole_folder(place) as unfinished:
        (unfinished / "left over").unlink()
    assert [path.name for path in place.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["cell"]


def test_a_text_file_makes_its_folder(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b.txt", "±")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "±".encode()


@pytest.mark.parametrize("name", ["fsync", "replace", "open"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = tmp_path / "board.md"
    place.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(Unwritable, match=r"board.md: No space left on device \(.*\); free space"):
            write_whole(place, "new")
    assert place.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["board.md"]


@pytest.mark.parametrize("step", range(1, 4))
def test_a_folder_comes_back_when_its_successor_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    place, rename, calls = tmp_path / "cell", os.rename, count(1)
    place.mkdir()
    (place / "old").touch()

    def full(*names: Path) -> None:
        if next(calls) == step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(*names)

    def replace() -> None:
        with whole_folder(place) as unfinished:
            (unfinished / "new").touch()

    monkeypatch.setattr(os, "rename", full)
    if step < 3:  # the old one goes away, the new one comes
        with pytest.raises(Unwritable):
            replace()
    else:
        replace()
    assert [path.name for path in place.iterdir()] == ["old" if step < 3 else "new"]
    assert [path.name for path in tmp_path.iterdir()] == ["cell"]


def test_what_killed_processes_left_half_written_is_dropped(tmp_path: Path) -> None:
    partial_of(tmp_path / "state").touch()
    (partial_of(tmp_path / "folder") / "below").mkdir(parents=True)
    (tmp_path / "state").touch()
    drop_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
