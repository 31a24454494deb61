"""Download the files of a Zenodo record: resumed after a cut, whole by size and checksum or not there at all.

What is downloaded lies in `.<name>.<checksum>.partial` until its size and checksum are those that the record states; a
part of another version of a file therefore is never continued. Sizes and checksums come from the record alone.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.core.strict_json import parse_json
from datasets.core.text import readable, shown
from datasets.errors import UserError
from datasets.pixels.disk import RESERVE

RECORD = "https://zenodo.org/api/records/8103474"  # OSMA
BLOCK = 1 << 20  # bytes read at a time
RECORD_BYTES = 1 << 24  # a larger description is none
LARGEST = 1 << 50  # bytes of a file
RECORD_TRIES = 3  # for the description; nobody waits long for nothing
TRIES = 6  # connections in a row that bring nothing new of a file
DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
PASSING = (408, 425, 429)  # answers of a server that is busy, and all from 500 on

OnBytes = Callable[[int], None]

_TROUBLE = (OSError, http.client.HTTPException)  # URLError and timeouts are OSErrors


@dataclass(frozen=True)
class Patience:
    """How long a silent or failing server is borne; times in seconds."""

    timeout: float = 60.0
    pause: float = 2.0  # before the second try, doubled before each further one
    longest_pause: float = 60.0

    def wait(self, failures: int) -> None:
        time.sleep(min(self.longest_pause, self.pause * 2 ** (failures - 1)))


@dataclass(frozen=True)
class RemoteFile:
    """A file as the record states it: its name, bytes, checksum in hexadecimal digits, and address."""

    name: str
    size: int
    algorithm: str
    digest: str
    url: str


class _Busy(Exception):
    """The server asks to come back later."""


def read_record(url: str, patience: Patience | None = None) -> list[RemoteFile]:
    """The files of a record, from its description in JSON.

    Raises:
        UserError: the description cannot be had, or does not state name, size, checksum and address of every file.
    """
    patience = patience or Patience()
    content = b""
    for failures in range(1, RECORD_TRIES + 1):
        try:
            with _open(url, 0, patience) as answer:
                content = answer.read(RECORD_BYTES)
            break
        except (*_TROUBLE, _Busy) as error:
            if failures == RECORD_TRIES:
                raise UserError(f"cannot read {url} ({_reason(error)}); check the connection and try again") from None
            patience.wait(failures)
    try:
        entries = parse_json(content)["files"]
        files = [_remote_file(entry) for entry in entries]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{url} is no description of a Zenodo record ({reason}); check --url") from None
    if not files:
        raise UserError(f"{url} names no files that can be downloaded")
    if len({file.name for file in files}) != len(files):
        raise UserError(f"{url} names a file twice; download by hand")
    return files


def _remote_file(entry: Mapping[str, Any]) -> RemoteFile:
    """One entry of the record's list.

    Raises:
        ValueError, KeyError, TypeError: it is not what it should be.
    """
    name, size, url = entry["key"], entry["size"], entry["links"]["self"]
    algorithm, _, digest = entry["checksum"].partition(":")
    if not re.fullmatch(r"[^/\\\0-\x1f.][^/\\\0-\x1f]{0,200}", name):
        raise ValueError(f"{shown(name)} is no plain file name")
    if not isinstance(size, int) or not 0 <= size <= LARGEST:
        raise ValueError(f"the size of {name} is {size!r}")
    if not re.fullmatch(f"[0-9a-fA-F]{{{DIGITS.get(algorithm, 1000)}}}", digest):
        raise ValueError(f"the checksum of {name} is {shown(entry['checksum'])}")
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"the address of {name} is {shown(url)}")
    return RemoteFile(name, size, algorithm, digest.lower(), url)


def fetch_file(
    file: RemoteFile, folder: Path, on_bytes: OnBytes = lambda count: None, patience: Patience | None = None
) -> Path:
    """Download a file, or go on with a download that was cut.

    Args:
        file: what to get.
        folder: where it goes; exists.
        on_bytes: is called with the number of bytes that are new, negative where a server makes us begin again.
        patience: with a failing server.

    Returns:
        The file, whose size and checksum are right.

    Raises:
        UserError: it cannot be had, is not what the record states, or does not fit.
    """
    target = folder / file.name
    if target.is_file() and target.stat().st_size == file.size and checksum(target, file.algorithm) == file.digest:
        on_bytes(file.size)
        return target
    part = partial_file(file, folder)
    part.touch()
    _room_for(file.size - part.stat().st_size, folder)
    try:
        _complete(file, part, on_bytes, patience or Patience())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"{folder} is full; free space and start again: the download goes on where it is") from None
    found = checksum(part, file.algorithm)
    if found != file.digest:
        part.unlink()
        stated = f"the record states {file.algorithm}:{file.digest}"
        raise UserError(f"{file.url} has {file.algorithm}:{found}, {stated}; it was deleted, start again")
    part.replace(target)
    return target


def partial_file(file: RemoteFile, folder: Path) -> Path:
    """Where a file lies until it is whole."""
    return folder / f".{file.name}.{file.digest[:8]}.partial"


def checksum(path: Path, algorithm: str) -> str:
    """The checksum of a file in hexadecimal digits; algorithm as in `hashlib`."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _complete(file: RemoteFile, part: Path, on_bytes: OnBytes, patience: Patience) -> None:
    """Append to the partial file until it has its size; give up when nothing new comes any more."""
    have = part.stat().st_size
    if have > file.size:
        part.write_bytes(b"")
        have = 0
    on_bytes(have)
    most, failures, reason = have, 0, "the connection was cut"
    while have < file.size:
        try:
            _append(file, part, on_bytes, patience)
            reason = "the connection was cut"
        except (*_TROUBLE, _Busy) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            reason = _reason(error)
        have = part.stat().st_size
        failures = 0 if have > most else failures + 1
        most = max(most, have)
        if failures >= TRIES:
            got = f"{have:,} of {file.size:,} bytes"
            raise UserError(f"{file.url} broke off after {got} ({reason}); start again: the download goes on there")
        if have < file.size and failures:
            patience.wait(failures)


def _append(file: RemoteFile, part: Path, on_bytes: OnBytes, patience: Patience) -> None:
    """One connection: what comes is appended, or begins anew where the server cannot go on from the middle."""
    have = part.stat().st_size
    with _open(file.url, have, patience, file) as answer:
        first, total = _offered(answer, have)
        if total is not None and total != file.size:
            raise UserError(f"{file.url} has {total:,} bytes, the record states {file.size:,}; try again later")
        if first != have:
            on_bytes(first - have)
        with part.open("r+b") as target:
            target.truncate(first)
            target.seek(first)
            while block := answer.read(min(BLOCK, file.size - target.tell() + 1)):
                if target.tell() + len(block) > file.size:
                    target.truncate(0)
                    raise UserError(f"{file.url} has more than the {file.size:,} bytes that the record states")
                target.write(block)
                on_bytes(len(block))


def _offered(answer: http.client.HTTPResponse, asked: int) -> tuple[int, int | None]:
    """Where the content of an answer begins, and the size of the whole file if the server tells."""
    length = answer.headers.get("Content-Length", "")
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0, int(length) if length.isdecimal() else None
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != asked:
        raise http.client.HTTPException("the server answered with another range than was asked for")
    return asked, None if match[2] == "*" else int(match[2])


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a server's redirects as long as they stay on the web, and on its secure side once there."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = newurl.partition(":")[0].lower()
        if scheme not in ("https", "http") or (scheme, req.type) == ("http", "https"):
            fp.close()
            raise UserError(f"{shown(req.full_url)} leads to {shown(newurl)}, which is not safe to follow; check --url")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(SafeRedirects)


def _open(url: str, first: int, patience: Patience, file: RemoteFile | None = None) -> http.client.HTTPResponse:
    """Ask for what begins at byte `first`."""
    if not url.startswith(("https://", "http://")):
        raise UserError(f"{shown(url)} is no address of the web; it must begin with https://")
    headers = {"Accept-Encoding": "identity", "User-Agent": "osma-bench"}
    if first:
        headers["Range"] = f"bytes={first}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        answer: http.client.HTTPResponse = _OPENER.open(request, timeout=patience.timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and file is not None:
            raise UserError(f"{url} has no more than {first:,} bytes, the record states {file.size:,}") from None
        if error.code in PASSING or error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _Busy(f"HTTP status {error.code}") from None
        raise UserError(f"{url} answers with HTTP status {error.code} ({error.reason}); check --url") from None
    except (http.client.InvalidURL, ValueError) as error:
        raise UserError(f"{shown(url)} is no address ({error}); check --url") from None
    return answer


def _room_for(size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size + RESERVE > free:
        raise UserError(f"{folder} has {readable(free)} free, the download takes {readable(size)}; free space first")


def _reason(error: BaseException) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return (str(inner) or type(inner).__name__).splitlines()[0]
