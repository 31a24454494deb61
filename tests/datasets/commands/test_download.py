"""`python -m datasets download`, from options to files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.commands.main import main
from datasets.console import REFUSED, exit_status
from tests.datasets.web import Site, archive, served


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served() as site:
        site.files = {"real.zip": archive(a=b"1"), "fake.zip": archive(b=b"2", c=b"3"), "README.md": b"text"}
        yield site


def unpacked(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "OSMA").iterdir())


def test_the_command_downloads_and_unpacks(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "osma", "--to", str(tmp_path / "new"), "--url", site.record]) == 0
    assert unpacked(tmp_path / "new") == ["a", "b", "c"]
    assert (tmp_path / "new/README.md").read_bytes() == b"text"
    said = capsys.readouterr().out
    assert "2 files unpacked: fake.zip" in said
    assert "left as it is" in said
    assert "annotation files are not among these" in said


def test_a_wrong_checksum_is_one_line_and_status_2(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.stated["fake.zip"] = {"checksum": "md5:" + "f" * 32}
    command = ["download", "osma", "--to", str(tmp_path), "--url", site.record]
    assert exit_status(lambda: main(command)) == REFUSED
    assert capsys.readouterr().err.count("\n") == 1
    assert unpacked(tmp_path) == ["a"]
    assert not (tmp_path / "fake.zip").exists()
