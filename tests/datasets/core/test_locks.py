"""Who has to wait for a lock is told so, and a file system without locks is told in one line."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from datasets.core.locks import locked
from datasets.core.places import Unwritable

BUSY, REMEDY = "makes the same images", "set CACHE"


def test_the_block_holds_others_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(tmp_path / "lock", BUSY, REMEDY):
        assert not _free(tmp_path / "lock")
    assert _free(tmp_path / "lock")
    assert capsys.readouterr().err == ""


def _free(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        return False
    lock.release()
    return True


def test_who_waits_is_told_for_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = threading.Event()

    def hold() -> None:
        with FileLock(tmp_path / "lock"):
            held.set()
            time.sleep(0.2)

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    with locked(tmp_path / "lock", BUSY, REMEDY):
        pass
    other.join()
    assert capsys.readouterr().err == "waiting for another process, which makes the same images\n"


@pytest.mark.skipif(os.name != "posix", reason="locks of another kind")
def test_a_file_system_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(Unwritable) as caught, locked(tmp_path / "lock", BUSY, REMEDY):
        pass
    assert str(caught.value) == f"files of {tmp_path} cannot be locked (No locks available); set CACHE"
