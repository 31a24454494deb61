"""Files come decoded in their order, in blocks, whatever decodes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.core import workers
from datasets.pixels.decode import Decoded, decode
from datasets.pixels.stream import decoded_blocks

SIDE = 16


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Twenty images, the eighth of which is none; not in the order of their names."""
    rng = np.random.default_rng(0)
    found = [tmp_path / f"{position:02d}.png" for position in rng.permutation(20)]
    for path in found:
        Image.fromarray(rng.integers(0, 256, (18, 20, 3), dtype=np.uint8)).save(path)
    found[7].write_bytes(b"")
    return found


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "several processes"])
@pytest.mark.parametrize("size", [7, 20, 100])
def test_every_file_is_decoded_in_its_place(
    paths: list[Path], size: int, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ALONE", 1000 if alone else 1)
    monkeypatch.setattr(workers, "CHUNK", 3)
    blocks = list(decoded_blocks(paths, SIDE, size))
    assert [len(block) for block in blocks] == {7: [7, 7, 6], 20: [20], 100: [20]}[size]
    for path, image in zip(paths, (image for block in blocks for image in block), strict=True):
        if path == paths[7]:
            assert image == "the file is empty"
        else:
            assert isinstance(image, Decoded)
            assert np.array_equal(image.pixels, decode(path, SIDE).pixels)


def test_a_block_is_decoded_when_it_is_asked_for(paths: list[Path]) -> None:
    blocks = decoded_blocks(paths, SIDE, 5)
    next(blocks)
    paths[19].unlink()
    assert [image for block in blocks for image in block][-1] == "cannot be opened (No such file or directory)"


def test_no_files_make_no_blocks() -> None:
    assert list(decoded_blocks([], SIDE, 5)) == []
