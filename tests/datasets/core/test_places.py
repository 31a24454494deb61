"""Places are tried before they are needed, and what a disk refuses is one line."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from datasets.core.places import Unwritable, existing, locks_work, open_place, writing


def failing(code: int) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_place_is_made_and_nothing_is_left_of_the_trial(tmp_path: Path) -> None:
    assert open_place(tmp_path / "a" / "b", "--results", "choose another folder") == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unwritable) as caught:
        open_place(tmp_path / "file", "--results", "choose another folder")
    assert str(caught.value) == f"--results {tmp_path}/file cannot be used: File exists; choose another folder"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_folder_that_takes_no_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", failing(code))
    with pytest.raises(Unwritable) as caught:
        open_place(tmp_path, "the cache", "set CACHE")
    assert str(caught.value) == f"the cache {tmp_path} cannot be used: {os.strerror(code)}; set CACHE"


def test_a_full_disk_is_told_with_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", failing(errno.ENOSPC))
    with pytest.raises(Unwritable, match=r"No space left on device \(.* free\); free space, or set CACHE$"):
        open_place(tmp_path, "the cache", "set CACHE")


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (errno.ENOSPC, "free space and start again; what is finished is kept"),
        (errno.EDQUOT, "free space and start again; what is finished is kept"),
        (errno.EROFS, "change its permissions, or choose another place"),
        (errno.EACCES, "change its permissions, or choose another place"),
    ],
)
def test_what_a_disk_refuses_is_a_line_with_place_room_and_cure(tmp_path: Path, code: int, cure: str) -> None:
    with pytest.raises(Unwritable) as caught, writing(tmp_path / "board.md"):
        failing(code)()
    start, free, end = str(caught.value).replace("(", ")").split(")")
    assert start == f"cannot write {tmp_path}/board.md: {os.strerror(code)} "
    assert free.endswith("iB free")
    assert end == f"; {cure}"


def test_other_errors_and_errors_of_other_files_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Too many open files"), writing(tmp_path / "board.md"):
        failing(errno.EMFILE)()
    with pytest.raises(PermissionError), writing(tmp_path / "board.md"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/elsewhere/images/1.png")


def test_the_nearest_folder_that_is_there(tmp_path: Path) -> None:
    assert existing(tmp_path / "a" / "b") == tmp_path
    assert existing(tmp_path) == tmp_path


@pytest.mark.skipif(os.name != "posix", reason="locks of another kind")
def test_whether_files_can_be_locked_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locks_work(tmp_path)
    monkeypatch.setattr("fcntl.flock", failing(errno.ENOLCK))
    assert not locks_work(tmp_path)
    assert list(tmp_path.iterdir()) == []
