"""The embedded data set, written as files and read again by the loader of OSMA."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import datasets.splits
from datasets.commands import export as exporting
from datasets.commands.export import Exported, export
from datasets.errors import UserError
from datasets.mini.dataset import Mini
from datasets.osma.dataset import Osma
from datasets.pixels.cache import ENVIRONMENT
from datasets.settings import DataSettings
from datasets.types import ImageSet, Split

SETTINGS = DataSettings(image_size=32, train_per_class=2, val_per_class=1, test_per_class=2)
PLAN = yaml.safe_load((Path(datasets.splits.__file__).parent / "mini.yaml").read_text())["splits"]
SPLITS = [f"split{number}" for number in range(1, 6)]


@pytest.fixture(scope="module", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, shared_cache: None) -> Exported:
    return export(Mini(SETTINGS), tmp_path_factory.mktemp("export") / "mini")


def parts(split: Split) -> dict[str, ImageSet]:
    return {"train": split.train, "val": split.val, "test": split.test, **split.unknown}


@pytest.mark.parametrize("name", SPLITS)
def test_loaded_back_every_split_is_the_same_image_by_image(name: str, exported: Exported) -> None:
    mine, again = Mini(SETTINGS).split(name), Osma(SETTINGS, exported.folder).split(name)
    for (part, before), after in zip(parts(mine).items(), parts(again).values(), strict=True):
        assert np.array_equal(before.batch(slice(None)), after.batch(slice(None))), part
        assert np.array_equal(before.labels, after.labels) and before.classes == after.classes
        assert before.sources.tolist() == after.sources.tolist()  # type: ignore[union-attr]


def test_other_settings_choose_among_the_exported_images(exported: Exported) -> None:
    fewer = Osma(SETTINGS.model_copy(update={"train_per_class": 1}), exported.folder).split("split1").train
    assert np.bincount(fewer.labels).tolist() == [1] * 15


def test_the_annotation_text_has_the_published_form(exported: Exported) -> None:
    for name in SPLITS:
        lists, texts = PLAN[name], {}
        for part in ("train", "val", "test", "test_out", "test_out_seed", "test_out_arch", "test_out_dataset"):
            path = exported.folder / f"{name}_{part.split('_')[0]}/annotations/{name}_{part}.txt"
            content = path.read_bytes().decode("ascii")
            assert content.endswith("\n") and "\r" not in content
            texts[part] = [line.split("\t") for line in content.splitlines()]
            for where, label in texts[part]:
                assert where.startswith("./dataset/OSMA/") and int(label) >= 0
                assert (exported.folder / where.removeprefix("./dataset/")).is_file()
        offsets = np.cumsum([0, len(lists["unknown"]["seed"]), len(lists["unknown"]["arch"])])
        joined = [
            [where, str(int(label) + offset)]
            for group, offset in zip(("seed", "arch", "dataset"), offsets, strict=True)
            for where, label in texts[f"test_out_{group}"]
        ]
        assert texts["test_out"] == joined


def test_only_real_images_that_training_does_not_know_have_blanks_and_colons(exported: Exported) -> None:
    files = [path.relative_to(exported.folder / "OSMA").as_posix() for path in exported.folder.rglob("*.png")]
    strange = {name.split("/")[1] for name in files if " " in name and ":" in name}
    assert strange == {"grace_hopper", "motorcycle"}
    assert not any(" " in name or ":" in name for name in files if name.split("/")[1] not in strange)
    assert "real/motorcycle/2011-06-26 19:33:40_real.png" in files


def test_class_lists_stand_under_the_official_keys(exported: Exported) -> None:
    lists = yaml.safe_load((exported.folder / "configs/data_list.yaml").read_text())
    keys = {"unknown_classes1": "seed", "unknown_classes2": "arch", "unknown_classes3": "dataset"}
    assert lists == {
        name: {
            "known_classes": PLAN[name]["known"],
            **{key: PLAN[name]["unknown"][group] for key, group in keys.items()},
        }
        for name in SPLITS
    }


def test_the_manifest_says_what_was_written_and_from_which_recipe(exported: Exported) -> None:
    manifest = json.loads((exported.folder / "manifest.json").read_text())
    files = list(exported.folder.rglob("*.png"))
    assert manifest["recipe"] == Mini(SETTINGS).fingerprint
    assert manifest["settings"] == SETTINGS.model_dump()
    assert (manifest["images"], manifest["bytes"]) == (len(files), sum(path.stat().st_size for path in files))
    assert (exported.images, exported.bytes) == (manifest["images"], manifest["bytes"])
    with Image.open(files[0]) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (32, 32))


def test_a_target_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty; name a folder that is not there yet"):
        export(Mini(SETTINGS), tmp_path)
    with pytest.raises(UserError, match=r"notes\.txt is a file"):
        export(Mini(SETTINGS), tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_write_images", full)
    with pytest.raises(UserError, match="No space left on device"):
        export(Mini(SETTINGS), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_too_small_a_disk_is_seen_before_images_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "RESERVE", 1 << 62)
    with pytest.raises(UserError, match="images take up to"):
        export(Mini(SETTINGS), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_a_target(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert export(Mini(SETTINGS), tmp_path / "here").folder == tmp_path / "here"
    assert (tmp_path / "here/manifest.json").is_file()
