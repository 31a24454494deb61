"""A download goes on after a cut, is whole or not there at all, and is what the record states."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from datasets.download import record as download
from datasets.download.record import TRIES, RemoteFile, fetch_file, partial_file, read_record
from datasets.errors import UserError
from tests.datasets.web import HURRY, Site, served

CONTENT = bytes(range(256)) * 40  # 10,240 bytes


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served() as site:
        site.files["images.bin"] = CONTENT
        yield site


def only_file(site: Site) -> RemoteFile:
    (file,) = read_record(site.record, HURRY)
    return file


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(site: Site, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        fetch_file(only_file(site), folder, patience=HURRY)
    assert "\n" not in str(caught.value)
    assert "images.bin" not in files_in(folder)
    return str(caught.value)


def test_the_record_states_name_size_checksum_and_address(site: Site) -> None:
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert only_file(site) == RemoteFile("images.bin", 10_240, "md5", md5, f"{site.address}/files/images.bin")


def test_a_file_arrives_whole(site: Site, tmp_path: Path) -> None:
    counts: list[int] = []
    path = fetch_file(only_file(site), tmp_path, counts.append, HURRY)
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == ["images.bin"]
    assert sum(counts) == 10_240


def test_an_empty_file_arrives_without_a_request(site: Site, tmp_path: Path) -> None:
    site.files["images.bin"] = b""
    assert fetch_file(only_file(site), tmp_path, patience=HURRY).read_bytes() == b""
    assert site.asked == []


def test_after_a_cut_the_rest_alone_is_asked_for(site: Site, tmp_path: Path) -> None:
    site.cuts = [1000, 2000]
    counts: list[int] = []
    assert fetch_file(only_file(site), tmp_path, counts.append, HURRY).read_bytes() == CONTENT
    assert site.asked == ["", "bytes=1000-", "bytes=3000-"]
    assert sum(counts) == 10_240


def test_a_download_that_was_stopped_goes_on_in_another_process(site: Site, tmp_path: Path) -> None:
    file = only_file(site)
    partial_file(file, tmp_path).write_bytes(CONTENT[:4321])
    assert fetch_file(file, tmp_path, patience=HURRY).read_bytes() == CONTENT
    assert site.asked == ["bytes=4321-"]


def test_the_beginning_of_another_version_of_a_file_is_not_continued(site: Site, tmp_path: Path) -> None:
    partial_file(only_file(site), tmp_path).write_bytes(b"old")
    site.files["images.bin"] = CONTENT[::-1]
    assert fetch_file(only_file(site), tmp_path, patience=HURRY).read_bytes() == CONTENT[::-1]
    assert site.asked == [""]


def test_a_server_without_ranges_makes_us_begin_again(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [1000]
    counts: list[int] = []
    assert fetch_file(only_file(site), tmp_path, counts.append, HURRY).read_bytes() == CONTENT
    assert site.asked == ["", "bytes=1000-"]
    assert sum(counts) == 10_240


def test_a_server_without_ranges_that_always_cuts_is_given_up(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [1000] * 100
    assert "broke off after 1,000 of 10,240 bytes" in refusal(site, tmp_path)
    assert len(site.asked) == 1 + TRIES


def test_a_server_that_cuts_every_thousand_bytes_is_borne(site: Site, tmp_path: Path) -> None:
    site.cuts = [1000] * 10
    assert fetch_file(only_file(site), tmp_path, patience=HURRY).read_bytes() == CONTENT
    assert len(site.asked) == 11


def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.statuses = [503, 429, 500]
    assert fetch_file(only_file(site), tmp_path, patience=HURRY).read_bytes() == CONTENT


def test_a_file_that_is_not_there_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    file = only_file(site)
    site.files.clear()
    with pytest.raises(UserError, match="HTTP status 404"):
        fetch_file(file, tmp_path, patience=HURRY)
    assert len(site.asked) == 1


def test_a_wrong_checksum_is_told_and_nothing_is_left(site: Site, tmp_path: Path) -> None:
    site.stated["images.bin"] = {"checksum": "md5:" + "0" * 32}
    text = refusal(site, tmp_path)
    assert hashlib.md5(CONTENT, usedforsecurity=False).hexdigest() in text
    assert "0" * 32 in text
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("sized", [True, False], ids=["length told", "length not told"])
@pytest.mark.parametrize("stated", [10_239, 10_241])
def test_a_size_other_than_the_record_states_is_refused(site: Site, tmp_path: Path, stated: int, sized: bool) -> None:
    site.sized = sized
    site.stated["images.bin"] = {"size": stated}
    assert f"{stated:,}" in refusal(site, tmp_path)


def test_a_file_that_is_there_already_is_checked_and_not_loaded_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "images.bin").write_bytes(CONTENT)
    fetch_file(only_file(site), tmp_path, patience=HURRY)
    assert site.asked == []


@pytest.mark.parametrize("other", [CONTENT[:-1], CONTENT[::-1]], ids=["too short", "other bytes"])
def test_a_file_of_that_name_with_other_content_is_loaded_again(site: Site, tmp_path: Path, other: bytes) -> None:
    (tmp_path / "images.bin").write_bytes(other)
    assert fetch_file(only_file(site), tmp_path, patience=HURRY).read_bytes() == CONTENT


def test_what_does_not_fit_is_refused_before_anything_is_loaded(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RESERVE", 1 << 60)
    assert "free" in refusal(site, tmp_path)
    assert site.asked == []


@pytest.mark.parametrize(
    "change",
    [
        {"key": "../images.bin"},
        {"key": "a/b"},
        {"key": ".hidden"},
        {"key": ""},
        {"key": 3},
        {"size": -1},
        {"size": "10240"},
        {"size": None},
        {"checksum": "md5:abc"},
        {"checksum": "none"},
        {"checksum": "sha3:" + "0" * 32},
        {"links": {"self": "file:///etc/passwd"}},
        {"links": {}},
    ],
    ids=json.dumps,
)
def test_a_record_that_does_not_state_what_is_needed_is_refused(site: Site, change: dict[str, object]) -> None:
    site.stated["images.bin"] = change
    with pytest.raises(UserError, match="no description of a Zenodo record") as caught:
        read_record(site.record, HURRY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/record", "ftp://example.org", "https:// x", "nothing"])
def test_an_address_that_leads_nowhere_is_one_line(address: str) -> None:
    with pytest.raises(UserError) as caught:
        read_record(address, HURRY)
    assert "\n" not in str(caught.value)
    assert address.split(":")[0] in str(caught.value)


def test_a_record_without_files_is_refused(site: Site) -> None:
    site.files.clear()
    with pytest.raises(UserError, match="no files"):
        read_record(site.record, HURRY)


# -- addresses that must not be followed --------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["ftp", "file", "data", "gopher"])
def test_a_redirect_that_leaves_the_web_is_refused_at_once(site: Site, tmp_path: Path, scheme: str) -> None:
    site.stated["images.bin"] = {"links": {"self": f"{site.address}/redirect/{scheme}://127.0.0.1:9/x"}}
    line = refusal(site, tmp_path)
    # The standard library refuses all but ftp itself, before it asks us.
    ours = f"leads to '{scheme}://127.0.0.1:9/x', which is not safe to follow"
    assert (ours if scheme == "ftp" else "is not allowed") in line
    assert line.endswith("; check --url")


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://a b/", "https://", "http://x:99999/", "ftp://x/y", "file:///etc"]
)
def test_an_address_that_is_none_is_one_line(url: str) -> None:
    with pytest.raises(UserError) as caught:
        read_record(url, HURRY)
    assert "\n" not in str(caught.value)


def test_a_description_nested_too_deeply_or_with_endless_numbers_is_refused(site: Site) -> None:
    for content in (b"[" * 100_000, b'{"files": ' + b"9" * 5000 + b"}"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Site, "description", lambda self, content=content: content)
            with pytest.raises(UserError, match="is no description of a Zenodo record"):
                read_record(site.record, HURRY)


def test_a_redirect_from_the_secure_side_of_the_web_to_the_other_is_refused() -> None:
    request, answer = urllib.request.Request("https://a.example/x"), io.BytesIO()
    follow = download.SafeRedirects().redirect_request
    assert follow(request, answer, 302, "", Message(), "https://b.example/x") is not None
    with pytest.raises(UserError, match=r"leads to 'http://a\.example/x', which is not safe to follow; check --url$"):
        follow(request, answer, 302, "", Message(), "http://a.example/x")
