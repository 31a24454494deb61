"""Unpack an archive of strangers: nothing leaves the folder, no links, no devices, no bombs, all of it or nothing.

Members are written into a folder next to their destination, and moved there when the whole archive has been read
without complaint. Names are kept as they are, colons and blanks included.
"""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from datasets.core.outside import check_plain
from datasets.core.text import readable, shown
from datasets.errors import UserError
from datasets.pixels.disk import RESERVE

BLOCK = 1 << 20  # bytes read at a time
STAGING = ".unpacking"

Kind = Literal["zip", "tar"]
OnBytes = Callable[[int], None]

# What the readers of the standard library raise on damaged archives.
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


@dataclass(frozen=True)
class Limits:
    """What an archive may hold; images hardly shrink, so a large ratio is no data set."""

    members: int = 5_000_000
    bytes: int = 1 << 38
    ratio: int = 100  # bytes unpacked per byte of the archive ...
    ratio_floor: int = 64 << 20  # ... beyond so many, for annotation files do shrink


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive.

    Attributes:
        name: as the archive has it.
        size: of the unpacked content in bytes, as the archive says.
        kind: what it is; only files and folders are unpacked.
        open: a reader of the content.
    """

    name: str
    size: int
    kind: Literal["file", "folder", "link", "special", "encrypted"]
    open: Callable[[], IO[bytes]]


def archive_kind(path: Path) -> Kind | None:
    """What the content is; None if it is neither a zip nor a tar file (plain or compressed)."""
    try:
        if tarfile.is_tarfile(path):  # first: a tar file may hold a zip file at its end
            return "tar"
    except _DAMAGE:
        return None
    return "zip" if zipfile.is_zipfile(path) else None


def unpack(archive: Path, folder: Path, limits: Limits | None = None, on_bytes: OnBytes = lambda count: None) -> int:
    """Unpack a zip or tar file into a folder; files of the same name there are replaced.

    Args:
        archive: the file.
        folder: where its content goes; made if need be.
        limits: what is too much.
        on_bytes: is called with the number of bytes after every piece that was written.

    Returns:
        The number of files.

    Raises:
        UserError: it is no archive, is damaged, holds what must not be unpacked, or does not fit: then nothing was put
            into the folder; or a folder of a file's name is in the way.
    """
    check_archive(archive)
    kind = archive_kind(archive)
    if kind is None:
        raise UserError(f"{archive} is neither a zip nor a tar file, or is damaged; download it again")
    staging = folder / STAGING
    try:
        shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
        staging.mkdir(parents=True)
        with closing(_MEMBERS[kind](archive)) as members:
            files = _Writer(archive, staging, limits or Limits(), on_bytes).write(members)
        _move(staging, folder)
    except _DAMAGE as error:
        raise UserError(f"{archive} is damaged ({_first_line(error)}); delete it and download it again") from None
    except OSError as error:
        name = f" at {shown(str(error.filename))}" if error.filename else ""
        raise UserError(f"{archive} cannot be unpacked into {folder}: {error.strerror or error}{name}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return files


def check_archive(archive: Path) -> None:
    """Refuse what is no plain file before anything opens it.

    Raises:
        UserError: it is something else, or is not there.
    """
    try:
        check_plain(archive)
    except OSError as error:
        raise UserError(f"{archive} cannot be unpacked ({error.strerror}); download it again") from None


class _Writer:
    """Writes members below a folder, within limits."""

    def __init__(self, archive: Path, folder: Path, limits: Limits, on_bytes: OnBytes) -> None:
        self._archive, self._folder, self._limits, self._on_bytes = archive, folder, limits, on_bytes
        most = max(limits.ratio_floor, limits.ratio * archive.stat().st_size)
        self._left = min(limits.bytes, most)
        self._most = self._left
        self._members = 0

    def write(self, members: Iterator[Member]) -> int:
        """All members; the number of files."""
        files = 0
        for member in members:
            self._members += 1
            if self._members > self._limits.members:
                raise self._refusal(f"more than {self._limits.members:,} members")
            parts = self._checked(member)
            if member.kind == "file":
                self._write_file(member, self._folder.joinpath(*parts))
                files += 1
            else:
                self._folder.joinpath(*parts).mkdir(parents=True, exist_ok=True)
        return files

    def _checked(self, member: Member) -> list[str]:
        """The path of a member below the folder, in parts."""
        if member.kind not in ("file", "folder"):
            raise self._refusal(f"{shown(member.name)} is {_WHAT[member.kind]}")
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if member.name.startswith("/") or ".." in parts or "\\" in member.name or "\0" in member.name:
            raise self._refusal(f"{shown(member.name)} would leave the folder")
        if os.name == "nt" and ":" in member.name:
            raise self._refusal(f"{shown(member.name)} has a colon, which Windows does not allow; use another system")
        if member.kind == "file" and not parts:
            raise self._refusal("a file without a name")
        return parts

    def _write_file(self, member: Member, path: Path) -> None:
        self._room_for(member.size)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        try:
            with member.open() as source, path.open("xb") as target:
                while block := source.read(BLOCK):
                    written += len(block)
                    self._left -= len(block)
                    if self._left < 0 or written > member.size:
                        raise self._refusal(f"{shown(member.name)} is larger than it says")
                    target.write(block)
                    self._on_bytes(len(block))
        except FileExistsError:
            raise self._refusal(f"{shown(member.name)} is there twice, or differs from another in case alone") from None
        if written != member.size:
            raise self._refusal(f"{shown(member.name)} is cut off after {written:,} of {member.size:,} bytes")

    def _room_for(self, size: int) -> None:
        if size > self._left:
            raise self._refusal(f"it unpacks to more than {readable(self._most)}")
        free = shutil.disk_usage(self._folder).free
        if size + RESERVE > free:
            raise UserError(
                f"{self._archive} does not fit: {self._folder.parent} has {readable(free)} left; free space"
            )

    def _refusal(self, reason: str) -> UserError:
        return UserError(f"{self._archive} is refused: {reason}; nothing of it was unpacked")


_WHAT = {"link": "a link", "special": "a device or pipe", "encrypted": "encrypted"}


def _zip_members(path: Path) -> Generator[Member, None, None]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            yield Member(info.orig_filename, info.file_size, _zip_kind(info), lambda info=info: archive.open(info))  # type: ignore[misc]


def _zip_kind(info: zipfile.ZipInfo) -> Literal["file", "folder", "link", "special", "encrypted"]:
    mode = info.external_attr >> 16  # of Unix; 0 where the archive was made elsewhere
    if info.flag_bits & 1:
        return "encrypted"
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "special"
    return "folder" if info.filename.endswith("/") else "file"


def _tar_members(path: Path) -> Generator[Member, None, None]:
    with tarfile.open(path) as archive:
        for info in archive:
            kind: Literal["file", "folder", "link", "special"] = "special"
            if info.isreg():
                kind = "file"
            elif info.isdir():
                kind = "folder"
            elif info.issym() or info.islnk():
                kind = "link"
            yield Member(info.name, info.size, kind, lambda info=info: _tar_content(archive, info))  # type: ignore[misc]
            archive.members = []  # type: ignore[attr-defined]  # it remembers every member that it has passed; there may be millions


def _tar_content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    if content is None:
        raise tarfile.ReadError(f"no content of {info.name}")
    return content


_MEMBERS = {"zip": _zip_members, "tar": _tar_members}


def _move(source: Path, target: Path) -> None:
    """Move every file to the same place below the target."""
    for folder, _, names in os.walk(source):
        there = target / Path(folder).relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for name in names:
            (Path(folder) / name).replace(there / name)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
