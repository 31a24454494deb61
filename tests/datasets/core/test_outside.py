"""What is no plain file is refused before it is opened, and a plain one only up to its bound."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from datasets.core.outside import read_file
from datasets.core.strict_yaml import read_yaml
from datasets.errors import UserError
from datasets.osma.annotations import read_annotation

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and devices need another system")


def reason(path: Path, most: int = 100, below: Path | None = None) -> str:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - of any kind; the words are what counts
        read_file(path, most, below)
    return str(caught.value.strerror)


def test_a_plain_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    assert reason(path, 4) == "it has more than 4 bytes"
    assert reason(tmp_path / "none") == "No such file or directory"
    assert reason(tmp_path / "zero\0byte") == "no file can have this name"


def test_pipes_devices_sockets_and_folders_are_refused_by_name_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    assert reason(tmp_path / "pipe") == "it is a named pipe, not a file"
    assert reason(tmp_path / "socket") == "it is a socket, not a file"
    assert reason(Path("/dev/zero")) == "it is a device, not a file"
    assert reason(tmp_path) == "it is a folder, not a file"


def test_a_link_may_stay_below_its_folder_and_not_lead_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_bytes(b"secret")
    (tmp_path / "in" / "own").write_bytes(b"own")
    (tmp_path / "in" / "near").symlink_to("own")
    (tmp_path / "in" / "far").symlink_to(tmp_path / "out")
    assert read_file(tmp_path / "in" / "near", 9, below=tmp_path / "in") == b"own"
    assert read_file(tmp_path / "in" / "far", 9) == b"secret"
    assert reason(tmp_path / "in" / "far", below=tmp_path / "in") == "it is a link that leads out of its folder"


@pytest.mark.parametrize("read", [read_yaml, read_annotation])
def test_lists_and_descriptions_that_are_pipes_or_devices_are_one_line_at_once(tmp_path: Path, read) -> None:  # type: ignore[no-untyped-def]
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a named pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(UserError, match=f"{path} cannot be read .it is {kind}, not a file.; "):
            read(path)
