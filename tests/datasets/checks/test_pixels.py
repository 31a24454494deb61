"""`check` says whether the decoded pixels are those of the files, and what was passed over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.catalogue import DataRequest
from datasets.checks.check import check
from datasets.checks.findings import Finding
from datasets.checks.pixels import passed_line
from datasets.pixels.ledger import stamp_of
from datasets.settings import DataSettings
from tests.datasets.own_images import DESCRIPTION

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def request_(tmp_path: Path) -> DataRequest:
    rng = np.random.default_rng(0)
    (tmp_path / "own.yaml").write_text(DESCRIPTION)
    for role in ("train", "val", "test"):
        for name in ("real", "first", "second"):
            folder = tmp_path / "images" / role / name
            folder.mkdir(parents=True)
            for index in range(2):
                Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{index}.bmp")
    return DataRequest(str(tmp_path / "own.yaml"), None, DataSettings(image_size=16))


def found(request: DataRequest, name: str, read_again: bool = False) -> list[Finding]:
    return [finding for finding in check(request, read_again=read_again).findings if finding.check == name]


def test_before_during_and_after_decoding(request_: DataRequest, tmp_path: Path) -> None:
    (note,) = found(request_, "pixels")
    # The description uses train, val and test of two classes, and test of the unknown one.
    assert (note.status, note.message[:48]) == ("note", "14 of 14 images are not decoded yet at 16 px; py")
    request_.open().split("only")
    (fine,) = found(request_, "pixels")
    assert (fine.status, fine.message) == ("ok", "14 images, size and times are those of the decoded files")
    Image.new("RGB", (20, 20)).save(tmp_path / "images/train/real/1.bmp")
    (changed,) = found(request_, "pixels")
    assert changed.status == "warning"
    assert changed.message.startswith("1 files have changed since they were decoded, such as train/real/1.bmp; ")


def test_reading_again_finds_what_no_stamp_tells(request_: DataRequest, tmp_path: Path, own_cache: Path) -> None:
    request_.open().split("only")
    (fine,) = found(request_, "pixels", read_again=True)
    assert fine.message == "14 images, decoded again: all pixels are the same"
    path = tmp_path / "images/train/real/1.bmp"
    Image.new("RGB", (20, 20)).save(path)
    ledger = next(own_cache.glob("*.ledger"))
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    stamps = {"train/real/1.bmp": stamp_of(str(path))}
    ledger.write_text("".join(json.dumps([r[0], r[1], stamps.get(r[0], r[2]), *r[3:]]) + "\n" for r in rows))
    assert found(request_, "pixels")[0].status == "ok"
    (other,) = found(request_, "pixels", read_again=True)
    assert other.status == "error"
    assert other.message == (
        "1 files hold other pixels than were decoded, though size and times are the same, such as train/real/1.bmp; "
        f"delete {ledger} to decode everything again"
    )


def test_what_is_passed_over_is_told_by_class_and_reason(request_: DataRequest, tmp_path: Path) -> None:
    assert found(request_, "passed over") == []
    (tmp_path / "images/train/real/a.heic").touch()
    (tmp_path / "images/val/real/b.heic").touch()
    (tmp_path / "images/test/first/._0.bmp").touch()
    notes = found(request_, "passed over")
    assert [(note.where, note.status, note.message) for note in notes] == [
        ("own", "note", "class 'first': hidden: 1"),
        ("own", "note", "class 'real': by extension: 2 .heic"),
    ]
    assert passed_line({("a", "hidden"): 1, ("b", "hidden"): 2, ("b", "extension .x"): 1}) == (
        "by extension: 1 .x; hidden: 3"
    )
