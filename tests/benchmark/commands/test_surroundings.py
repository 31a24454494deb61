"""Surroundings that do not suit a run: one line each, with the way out."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmark.commands.options import make_folders
from datasets.pixels import cache as places
from datasets.pixels.cache import ENVIRONMENT, cache_folder, open_cache
from tests.benchmark.toy import refused

ROOT = Path(__file__).parents[3]
REMEDY = "set OSMA_BENCH_CACHE to a folder that can be written and locked"
RUN_WITHOUT_LOCKS = """
import errno, fcntl, os, sys
def flock(*_): raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.flock = flock
from benchmark.commands.run_all import console_main
sys.exit(console_main())
"""


@pytest.mark.skipif(os.name != "posix", reason="locks of another kind")
def test_files_that_cannot_be_locked(tmp_path: Path) -> None:
    request = ["--dataset", "mini", "--preset", "smoke", "--methods", "prnu", "--splits", "1", "--jobs", "1"]
    folders = ["--results", str(tmp_path / "results"), "--leaderboards", str(tmp_path / "boards")]
    ended = subprocess.run(
        [sys.executable, "-c", RUN_WITHOUT_LOCKS, *request, *folders],
        cwd=ROOT, env={**os.environ, ENVIRONMENT: str(tmp_path / "cache")},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 2
    told = f"error: files of {tmp_path}/cache cannot be locked (No locks available); {REMEDY}"
    assert ended.stderr.splitlines() == [told]


def test_a_cache_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "file"))
    with refused(f"the cache {tmp_path}/file cannot be used: File exists; {REMEDY}"):
        open_cache()


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdir(self: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.delenv(ENVIRONMENT)
    monkeypatch.setattr(places, "user_cache_path", lambda name: Path("/.cache") / name)
    monkeypatch.setattr(Path, "mkdir", mkdir)
    with refused(f"the cache /.cache/osma-bench cannot be used: Permission denied; {REMEDY}"):
        open_cache()


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def user_cache_path(name: str) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(ENVIRONMENT)
    monkeypatch.setattr(places, "user_cache_path", user_cache_path)
    with refused(f"no home folder is known, so there is no place for the cache; {REMEDY}"):
        cache_folder()


def test_no_home_is_asked_for_where_a_cache_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    monkeypatch.delenv("HOME", raising=False)
    assert cache_folder() == tmp_path


def test_a_results_folder_that_takes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def temporary_file(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary_file)
    with refused(f"--results {tmp_path} cannot be used: Read-only file system; choose another folder"):
        make_folders(results=tmp_path)
