"""Archives are unpacked as they are, or refused whole."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.download import unpack as unpack_module
from datasets.download.unpack import Limits, archive_kind, unpack
from datasets.errors import UserError

FILES = {"OSMA/real/a b.png": b"1", "OSMA/fake/x: y/c.png": b"22" * 1000, "é.txt": b"", "deep/" * 9 + "f": b"3"}

Writer = Callable[[Path, dict[str, bytes]], None]


def zipped(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("empty") if hasattr(archive, "mkdir") else None
        for name, content in files.items():
            archive.writestr(name, content)


def tarred(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


WRITERS = pytest.mark.parametrize(
    ("name", "write"), [("a.zip", zipped), ("a.tar", tarred), ("a.tar.gz", tarred)], ids=["zip", "tar", "tar.gz"]
)


def refusal(archive: Path, folder: Path, limits: Limits | None = None) -> str:
    """The one line of an archive that is refused; nothing of it may be left anywhere."""
    folder.mkdir(exist_ok=True)
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(UserError) as caught:
        unpack(archive, folder, limits)
    assert sorted(folder.parent.rglob("*")) == before
    assert "\n" not in str(caught.value)
    assert str(archive) in str(caught.value)
    return str(caught.value)


@WRITERS
def test_files_come_out_as_they_went_in(tmp_path: Path, name: str, write: Writer) -> None:
    write(tmp_path / name, FILES)
    counts: list[int] = []
    folder = tmp_path / "out"
    assert unpack(tmp_path / name, folder, on_bytes=counts.append) == len(FILES)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == FILES
    assert sum(counts) == 2002
    assert not (folder / unpack_module.STAGING).exists()


@WRITERS
def test_a_second_archive_joins_the_first(tmp_path: Path, name: str, write: Writer) -> None:
    write(tmp_path / name, {"OSMA/a": b"1", "OSMA/b": b"2"})
    unpack(tmp_path / name, tmp_path / "out")
    write(tmp_path / name, {"OSMA/b": b"3", "OSMA/c": b"4"})
    unpack(tmp_path / name, tmp_path / "out")
    assert [(tmp_path / "out/OSMA" / letter).read_bytes() for letter in "abc"] == [b"1", b"3", b"4"]


@WRITERS
@pytest.mark.parametrize(
    "evil", ["../evil", "a/../../evil", "/tmp/evil", "a/..", "..", "a\\..\\evil", "C:\\evil", "//evil", "/"]
)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str, write: Writer, evil: str) -> None:
    write(tmp_path / name, {"good": b"1", evil: b"2"})
    refusal(tmp_path / name, tmp_path / "out")


@WRITERS
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, name: str, write: Writer) -> None:
    write(tmp_path / name, {"a/b": b"1", "a//b": b"2"})
    assert "twice" in refusal(tmp_path / name, tmp_path / "out")


@WRITERS
def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path, name: str, write: Writer) -> None:
    write(tmp_path / name, {"a": b"1", "a/b": b"2"})
    refusal(tmp_path / name, tmp_path / "out")


@WRITERS
def test_a_name_too_long_for_the_file_system_is_refused(tmp_path: Path, name: str, write: Writer) -> None:
    write(tmp_path / name, {"x" * 300: b"1"})
    refusal(tmp_path / name, tmp_path / "out")


@WRITERS
@pytest.mark.parametrize("limits", [Limits(members=2), Limits(bytes=1999)], ids=["members", "bytes"])
def test_more_than_the_limits_allow_is_refused(tmp_path: Path, name: str, write: Writer, limits: Limits) -> None:
    write(tmp_path / name, FILES)
    refusal(tmp_path / name, tmp_path / "out", limits)


@pytest.mark.parametrize(("name", "write"), [("a.zip", zipped), ("a.tar.gz", tarred)], ids=["zip", "tar.gz"])
def test_a_bomb_is_refused(tmp_path: Path, name: str, write: Writer) -> None:
    write(tmp_path / name, {"zeros": bytes(3_000_000)})  # shrinks about a thousandfold
    assert "more than" in refusal(tmp_path / name, tmp_path / "out", Limits(ratio_floor=1000))


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zipped(path, {"zeros": bytes(300_000)})
    size = (300_000).to_bytes(4, "little")
    content = path.read_bytes()
    assert content.count(size) == 2  # before the content, and in the directory at the end
    path.write_bytes(content.replace(size, (10).to_bytes(4, "little")))
    refusal(path, tmp_path / "out")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_a_zip_file_with_links_or_devices_is_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("odd")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good", b"1")
        archive.writestr(info, b"/etc/passwd")
    refusal(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_tar_file_with_links_or_devices_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("odd")
    info.type, info.linkname = kind, "good"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("good"))
        archive.addfile(info)
    refusal(tmp_path / "a.tar", tmp_path / "out")


def test_an_encrypted_zip_file_is_refused(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"a": b"1"})
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.rindex(signature) + offset] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    assert "encrypted" in refusal(tmp_path / "a.zip", tmp_path / "out")


@WRITERS
@pytest.mark.parametrize("damage", [lambda c: c[: len(c) // 2], lambda c: b"", lambda c: b"no archive " * 50])
def test_a_damaged_archive_is_refused(
    tmp_path: Path, name: str, write: Writer, damage: Callable[[bytes], bytes]
) -> None:
    write(tmp_path / name, {"a": bytes(range(256)) * 50, "b": b"2" * 20_000})
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    refusal(path, tmp_path / "out")


def test_content_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"what is stored")
    path = tmp_path / "a.zip"
    path.write_bytes(path.read_bytes().replace(b"what is stored", b"what is forged"))
    assert "damaged" in refusal(path, tmp_path / "out")


def test_what_an_archive_is_follows_from_its_content(tmp_path: Path) -> None:
    zipped(tmp_path / "inner", {"a": b"1"})
    tarred(tmp_path / "outer", {"inner.zip": (tmp_path / "inner").read_bytes()})
    (tmp_path / "text.zip").write_text("not a zip file")
    kinds = [archive_kind(tmp_path / name) for name in ("inner", "outer", "text.zip")]
    assert kinds == ["zip", "tar", None]


def test_what_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "a.zip", FILES)
    monkeypatch.setattr(unpack_module, "RESERVE", 1 << 60)
    assert "does not fit" in refusal(tmp_path / "a.zip", tmp_path / "out")


def test_remains_of_a_killed_run_are_cleared_away(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", FILES)
    left = tmp_path / "out" / unpack_module.STAGING / "half"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert unpack(tmp_path / "a.zip", tmp_path / "out") == len(FILES)
    assert not (tmp_path / "out/half").exists()
    assert not left.exists()


def test_a_member_without_a_name_and_a_pipe_for_an_archive_are_one_line(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"Q": b"x"})
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"Q", b"\0"))  # Python reads an empty name
    assert "would leave the folder" in refusal(tmp_path / "a.zip", tmp_path / "out")
    os.mkfifo(tmp_path / "pipe")
    assert "cannot be unpacked (it is a named pipe, not a file)" in refusal(tmp_path / "pipe", tmp_path / "out")
