"""A web server of a test's own on this machine: a Zenodo record whose files break off as the test wishes."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from datasets.download.record import Patience

HURRY = Patience(timeout=5, pause=0.001, longest_pause=0.001)


def archive(**files: bytes) -> bytes:
    """A zip file of some files below OSMA/."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as target:
        for name, value in files.items():
            target.writestr(f"OSMA/{name}", value)
    return content.getvalue()


@dataclass
class Site:
    """What the server holds and how it behaves.

    Attributes:
        files: content by name.
        stated: what the record says of a file where that is not the truth, as {name: {"size": 1}}.
        ranges: whether it can begin in the middle.
        cuts: after how many bytes the next connections break off, in turn.
        statuses: with which status the next connections are refused, in turn.
        asked: the range header of every request for a file ("" if it had none).
        sized: whether answers tell their length.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    stated: dict[str, dict[str, Any]] = field(default_factory=dict)
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sized: bool = True
    address: str = ""

    @property
    def record(self) -> str:
        return f"{self.address}/record"

    def description(self) -> bytes:
        entries = []
        for name, content in self.files.items():
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            entry = {"key": name, "size": len(content), "checksum": f"md5:{md5}"}
            entries.append(entry | {"links": {"self": f"{self.address}/files/{name}"}} | self.stated.get(name, {}))
        return json.dumps({"files": entries}).encode()


@contextmanager
def served() -> Iterator[Site]:
    """A site that is reachable while the block runs."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, site)

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(handler: BaseHTTPRequestHandler, site: Site) -> None:
    if handler.path == "/record":
        send(handler, 200, site.description(), {})
        return
    if handler.path.startswith("/redirect/"):
        send(handler, 302, b"", {"Location": handler.path.removeprefix("/redirect/")})
        return
    content = site.files.get(handler.path.removeprefix("/files/"))
    site.asked.append(handler.headers.get("Range", ""))
    if content is None or site.statuses:
        send(handler, site.statuses.pop(0) if site.statuses else 404, b"", {})
        return
    match = re.fullmatch(r"bytes=(\d+)-", site.asked[-1])
    first = int(match[1]) if match and site.ranges else 0
    if match and first >= len(content):
        send(handler, 416, b"", {})
        return
    head = {} if not first else {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
    cut = site.cuts.pop(0) if site.cuts else None
    send(handler, 206 if first else 200, content[first:], head, cut, site.sized)


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    head: dict[str, str],
    cut: int | None = None,
    sized: bool = True,
) -> None:
    handler.send_response(status)
    for name, value in head.items():
        handler.send_header(name, value)
    if sized:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:cut])
    handler.close_connection = True
