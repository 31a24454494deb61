"""The fingerprint of a data set of files follows its pixels, and an open data set keeps to what it looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.errors import UserError
from datasets.folder.dataset import Folder
from datasets.mini.dataset import Mini
from datasets.osma.dataset import Osma
from datasets.pixels import store as storing
from datasets.settings import DataSettings
from tests.datasets.osma_tree import Tree
from tests.datasets.own_images import DESCRIPTION

SETTINGS = DataSettings(image_size=16)
TRAIN = "images/train/real/0.bmp"

pytestmark = pytest.mark.usefixtures("own_cache")


def opened(home: Path) -> Folder:
    return Folder(home / "own.yaml", SETTINGS)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "own.yaml").write_text(DESCRIPTION)
    for role in ("train", "val", "test"):
        for name in ("real", "first", "second"):
            folder = tmp_path / "images" / role / name
            folder.mkdir(parents=True)
            for index in range(2):
                Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{index}.bmp")
    return tmp_path


def test_other_pixels_under_the_same_names_and_sizes_are_another_data_set(home: Path) -> None:
    before = opened(home)
    fingerprint, pixels = before.fingerprint, before.pixels
    assert (opened(home).fingerprint, opened(home).pixels) == (fingerprint, pixels)
    size = (home / TRAIN).stat().st_size
    Image.new("RGB", (20, 20), "red").save(home / TRAIN)
    assert (home / TRAIN).stat().st_size == size
    after = opened(home)
    assert after.pixels != pixels and after.fingerprint != fingerprint
    assert (before.pixels, before.fingerprint) == (pixels, fingerprint)  # it speaks of what it looked at


def test_the_osma_of_changed_images_is_another_one(tree: Tree) -> None:
    before = Osma(SETTINGS, tree.root).fingerprint
    name = next(name for name, _ in tree.lines["split1", "train"] if name.endswith(".png"))
    Image.new("RGB", (20, 20), "red").save(tree.root / "OSMA" / name)
    assert Osma(SETTINGS, tree.root).fingerprint != before


def test_rewritten_files_of_equal_pixels_are_the_same_data_set(home: Path) -> None:
    before = opened(home).fingerprint
    copy = home / "copy.bmp"
    shutil.copyfile(home / TRAIN, copy)
    copy.replace(home / TRAIN)
    assert opened(home).fingerprint == before


def test_the_pixels_of_a_split_are_those_of_the_fingerprint(home: Path) -> None:
    dataset = opened(home)
    assert dataset.fingerprint
    old = dataset.split("only").train.batch(slice(None)).copy()
    Image.new("RGB", (20, 20), "red").save(home / TRAIN)
    assert np.array_equal(dataset.split("only").train.batch(slice(None)), old)
    assert not np.array_equal(opened(home).split("only").train.batch(slice(None)), old)


def test_a_look_decodes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = opened(home)
    with monkeypatch.context() as patch:
        patch.setattr(storing, "decoded", None)  # would fail if it were called
        assert dataset.known_fingerprint is None
        assert dataset.usable_splits == ("only",) and dataset.coverage == 1
    assert dataset.fingerprint == dataset.known_fingerprint


def test_a_file_that_breaks_after_it_was_decoded_changes_the_digest_and_is_refused(home: Path) -> None:
    before = opened(home).pixels
    (home / TRAIN).write_bytes(b"")
    dataset = opened(home)
    assert dataset.pixels != before
    with pytest.raises(UserError, match=r"train/real/0\.bmp: the file is empty"):
        dataset.split("only")


def test_data_that_follow_from_their_recipe_have_no_digest_of_pixels() -> None:
    assert Mini(SETTINGS).pixels is None
