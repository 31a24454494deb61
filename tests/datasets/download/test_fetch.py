"""Everything of a record, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from datasets.download.fetch import fetch_record
from datasets.download.unpack import Limits
from datasets.errors import UserError
from tests.datasets.web import HURRY, Site, archive, served


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served() as site:
        site.files = {"real.zip": archive(a=b"1"), "fake.zip": archive(b=b"2", c=b"3"), "README.md": b"text"}
        yield site


def unpacked(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "OSMA").iterdir())


def test_a_second_run_loads_nothing(site: Site, tmp_path: Path) -> None:
    fetch_record(site.record, tmp_path, delete=True, patience=HURRY)
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["OSMA", "README.md"]
    asked = len(site.asked)
    fetch_record(site.record, tmp_path, delete=True, patience=HURRY)
    assert len(site.asked) == asked


def test_archives_can_be_left_packed(site: Site, tmp_path: Path) -> None:
    fetch_record(site.record, tmp_path, unpacking=False, patience=HURRY)
    assert not (tmp_path / "OSMA").exists()
    fetch_record(site.record, tmp_path, patience=HURRY)
    assert unpacked(tmp_path) == ["a", "b", "c"]


def test_an_archive_that_is_refused_is_refused_every_time(site: Site, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(UserError, match=r"fake\.zip is refused"):
            fetch_record(site.record, tmp_path, patience=HURRY, limits=Limits(bytes=1))
        assert unpacked(tmp_path) == ["a"]


def test_two_downloads_into_one_folder_do_not_meet(site: Site, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".download.lock"), pytest.raises(UserError, match="another process"):
        fetch_record(site.record, tmp_path, patience=HURRY)


def test_a_folder_that_cannot_be_made_is_one_line(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        fetch_record(site.record, tmp_path / "file" / "below", patience=HURRY)
