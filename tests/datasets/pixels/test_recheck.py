"""Pixels that changed beneath a file's stamp are found by decoding again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.pixels.ledger import stamp_of
from datasets.pixels.recheck import others_than_stored
from datasets.pixels.store import PixelStore

SIDE = 16

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    rng = np.random.default_rng(0)
    for index in range(5):
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(tmp_path / f"{index}.bmp")
    return {path.name: str(path) for path in tmp_path.glob("*.bmp")}


def pretend_unchanged(own_cache: Path, files: dict[str, str]) -> None:
    """Write the stamps of the files as they are now into the ledger."""
    ledger = next(own_cache.glob("*.ledger"))
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    ledger.write_text("".join(json.dumps([row[0], row[1], stamp_of(files[row[0]]), *row[3:]]) + "\n" for row in rows))


def test_what_no_stamp_tells_is_found(tmp_path: Path, files: dict[str, str], own_cache: Path) -> None:
    PixelStore(tmp_path, SIDE).ensure(files)
    assert list(others_than_stored(PixelStore(tmp_path, SIDE), files)) == [(f"{n}.bmp", False) for n in range(5)]
    content = bytearray(Path(files["3.bmp"]).read_bytes())
    content[-1] ^= 1  # one bit of one pixel
    Path(files["3.bmp"]).write_bytes(content)
    Path(files["1.bmp"]).write_bytes(b"")
    pretend_unchanged(own_cache, files)
    found = dict(others_than_stored(PixelStore(tmp_path, SIDE), files))
    assert found == {"0.bmp": False, "1.bmp": True, "2.bmp": False, "3.bmp": True, "4.bmp": False}


def test_files_that_have_changed_or_are_not_stored_are_not_compared(tmp_path: Path, files: dict[str, str]) -> None:
    store = PixelStore(tmp_path, SIDE)
    store.ensure({name: path for name, path in files.items() if name != "4.bmp"})
    Image.new("RGB", (SIDE, SIDE)).save(files["0.bmp"])
    assert dict(others_than_stored(store, files)) == {"1.bmp": False, "2.bmp": False, "3.bmp": False}
