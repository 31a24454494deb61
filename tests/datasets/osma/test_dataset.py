"""The loader against a small tree in the published layout that is written without it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.errors import UserError
from datasets.osma.dataset import Osma
from datasets.pixels.decode import decode
from datasets.settings import DataSettings
from datasets.splits import UNKNOWN_GROUPS
from tests.datasets.osma_tree import PLAN, REAL, ROLES, Tree, build, official_lists

SETTINGS = DataSettings(image_size=16)
SPLITS = tuple(PLAN["splits"])

pytestmark = pytest.mark.usefixtures("own_cache")


def test_all_five_splits_hold_what_their_files_say(whole_tree: Tree) -> None:
    osma = Osma(SETTINGS, whole_tree.root)
    assert (osma.split_names, osma.extra_splits) == (SPLITS, ("subset",))
    assert (osma.title, osma.coverage) == ("OSMA", 1.0)
    for name in SPLITS:
        split = osma.split(name)
        for role, images in {
            **dict(zip(ROLES, (split.train, split.val, split.test), strict=True)),
            **split.unknown,
        }.items():
            assert list(zip(images.ids.tolist(), images.labels.tolist(), strict=True)) == whole_tree.lines[name, role]
            lists = PLAN["splits"][name]
            assert list(images.classes) == (lists["known"] if role in ROLES else lists["unknown"][role])


def test_pixels_are_those_of_the_files(whole_tree: Tree) -> None:
    images = Osma(SETTINGS, whole_tree.root).split("split2").test
    for position, name in enumerate(images.ids):
        pixels = decode(whole_tree.root / "OSMA" / name, 16).pixels
        assert np.array_equal(images.batch(np.array([position]))[0], pixels)


def test_sources_are_folders_of_real_images_and_classes_of_others(whole_tree: Tree) -> None:
    split = Osma(SETTINGS, whole_tree.root).split("split1")
    for images in (split.train, split.test, split.unknown["arch"]):
        for name, label, source in zip(images.ids, images.labels, images.sources, strict=True):  # type: ignore[arg-type]
            assert source == (name.split("/")[1] if name.startswith("real/") else images.classes[label])
    assert {"CoCo", "summer"} <= set(split.test.sources)  # type: ignore[arg-type]
    assert not {"CoCo", "summer"} & set(split.train.sources)  # type: ignore[arg-type]


def test_the_small_test_set_uses_the_labels_of_split_1(whole_tree: Tree) -> None:
    subset = Osma(SETTINGS, whole_tree.root).split("subset")
    assert len(subset.train) == len(subset.val) == 0
    for role, images in {"test": subset.test, **subset.unknown}.items():
        assert list(zip(images.ids.tolist(), images.labels.tolist(), strict=True)) == whole_tree.lines["subset", role]


def test_the_small_test_set_stands_alone_in_its_own_folder(tree: Tree) -> None:
    (tree.root / "OSMA").rename(tree.root / "OSMA_subset")
    for split in SPLITS:
        for part in ("train", "val", "test"):
            shutil.rmtree(tree.root / f"{split}_{part}")
    osma = Osma(SETTINGS, tree.root)
    assert (osma.split_names, osma.extra_splits, osma.coverage) == ((), ("subset",), 1.0)
    assert len(osma.split("subset").test) == len(tree.lines["subset", "test"])


def test_the_folder_above_is_a_root_too(whole_tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "dataset").symlink_to(whole_tree.root)
    assert Osma(SETTINGS, tmp_path).split_names == SPLITS


def test_colons_in_names_may_have_become_underscores(tree: Tree) -> None:
    for path in (tree.root / "OSMA/real/summer").iterdir():
        path.rename(path.with_name(path.name.replace(":", "_")))
    osma = Osma(SETTINGS, tree.root)
    assert osma.coverage == 1.0
    assert any(":" in name for name in osma.split("split1").test.ids)


def test_a_part_of_the_images_is_used_and_told(tree: Tree) -> None:
    gone = sorted(name for name in tree.names if "/bus" in name or "stylegan" in name.lower())
    fewer = {name for name in gone if not any(name in dict(tree.lines["split2", role]) for role in ROLES)}
    for name in fewer:
        (tree.root / "OSMA" / name).unlink()
    osma = Osma(SETTINGS, tree.root)
    share = 1 - len(fewer) / len(tree.names)
    assert osma.coverage == pytest.approx(share) and osma.missing == tuple(sorted(fewer))
    assert osma.title == f"OSMA ({int(share * 1000) / 10:g} % of the images)"
    split = osma.split("split2")
    for group in UNKNOWN_GROUPS:
        left = [line for line in tree.lines["split2", group] if line[0] not in fewer]
        assert split.unknown[group].ids.tolist() == [name for name, _ in left]


def test_what_is_missing_is_part_of_the_fingerprint(tree: Tree, whole_tree: Tree) -> None:
    complete = Osma(SETTINGS, whole_tree.root).fingerprint
    assert Osma(SETTINGS, tree.root).fingerprint == complete  # the same data elsewhere
    assert Osma(DataSettings(image_size=32), tree.root).fingerprint != complete
    name = tree.lines["split3", "dataset"][0][0]
    (tree.root / "OSMA" / name).unlink()
    assert Osma(SETTINGS, tree.root).fingerprint != complete


def test_limits_choose_from_all_sources_and_leave_unseen_ones_their_share(tmp_path: Path) -> None:
    tree = build(tmp_path, scale=1 / 60, side=8, splits=1)
    settings = DataSettings(image_size=16, train_per_class=28, val_per_class=5, test_per_class=6)
    split = Osma(settings, tree.root).split("split1")
    assert set(Counter(split.train.labels.tolist()).values()) == {28}
    assert set(Counter(split.val.labels.tolist()).values()) == {5}
    real = Counter(split.train.sources[split.train.labels == 0].tolist())  # type: ignore[index]
    assert set(real) == {source for source in REAL if REAL[source][0]} and max(real.values()) - min(real.values()) <= 2
    tested = Counter(split.test.sources[split.test.labels == 0].tolist())  # type: ignore[index]
    assert tested["CoCo"] == tested["summer"] == 3 and sum(tested.values()) == 12
    for images in split.unknown.values():
        assert set(Counter(images.labels.tolist()).values()) == {6}
    order = [name for name, _ in tree.lines["split1", "train"] if name in set(split.train.ids)]
    assert split.train.ids.tolist() == order


def test_an_export_under_the_same_settings_is_taken_whole(tree: Tree) -> None:
    settings = DataSettings(image_size=16, train_per_class=1, val_per_class=1, test_per_class=1)
    assert len(Osma(settings, tree.root).split("split1").train) == 15
    manifest = {"title": "a stand-in", "recipe": "123", "settings": settings.model_dump()}
    (tree.root / "manifest.json").write_text(json.dumps(manifest))
    osma = Osma(settings, tree.root)
    assert osma.title == "a stand-in"
    assert len(osma.split("split1").train) == len(tree.lines["split1", "train"])


def test_class_lists_of_the_root_win(tree: Tree) -> None:
    renamed = json.loads(json.dumps(PLAN["splits"]).replace("FSGAN", "another"))
    (tree.root / "configs").mkdir()
    (tree.root / "configs" / "data_list.yaml").write_text(official_lists({"split1": renamed["split1"]}))
    osma = Osma(SETTINGS, tree.root)
    assert (osma.split_names, osma.title) == (("split1",), "data in the layout of OSMA")
    assert osma.split("split1").train.classes[10] == "another"


def test_the_official_lists_change_nothing(tree: Tree, whole_tree: Tree) -> None:
    (tree.root.parent / "configs").mkdir()
    (tree.root.parent / "configs" / "data_list.yaml").write_text(official_lists(PLAN["splits"]))
    osma = Osma(SETTINGS, tree.root)
    assert (osma.title, osma.fingerprint) == ("OSMA", Osma(SETTINGS, whole_tree.root).fingerprint)


def test_unreadable_images_are_refused_or_by_choice_left_out(tree: Tree) -> None:
    bad = tree.lines["split1", "train"][0][0]
    (tree.root / "OSMA" / bad).write_bytes(b"")
    with pytest.raises(UserError, match=f"such as {bad}: the file is empty"):
        Osma(SETTINGS, tree.root).split("split1")
    osma = Osma(SETTINGS, tree.root)
    before = osma.fingerprint
    report = osma.prepare(unreadable="skip")
    assert report.skipped == {bad: "the file is empty"} and osma.need().images == 0
    for opened in (osma, Osma(SETTINGS, tree.root)):
        assert opened.missing == (bad,) and opened.fingerprint != before and "of the images" in opened.title
        assert bad not in opened.split("split1").train.ids


def test_another_image_takes_the_place_of_one_that_is_left_out(tree: Tree) -> None:
    settings = DataSettings(image_size=16, train_per_class=2)
    chosen = Osma(settings, tree.root).split("split1").train
    bad = str(chosen.ids[chosen.labels == 5][0])
    (tree.root / "OSMA" / bad).write_bytes(b"")
    osma = Osma(settings, tree.root)
    osma.prepare(unreadable="skip")
    again = osma.split("split1").train
    assert np.count_nonzero(again.labels == 5) == 2 and bad not in again.ids


def test_prepare_decodes_what_all_splits_use(whole_tree: Tree) -> None:
    osma = Osma(SETTINGS, whole_tree.root)
    need = osma.need()
    assert (need.images, need.bytes) == (len(whole_tree.names), len(whole_tree.names) * 16 * 16 * 3)
    assert osma.prepare().decoded == len(whole_tree.names)
    assert osma.prepare().decoded == 0


def test_images_of_any_kind_and_size_become_squares(tree: Tree) -> None:
    name = tree.lines["split1", "train"][0][0]
    Image.new("RGB", (300, 7), "red").save(tree.root / "OSMA" / name)
    train = Osma(SETTINGS, tree.root).split("split1").train
    assert (train.batch(slice(0, 1))[0] == [255, 0, 0]).all() or name.lower().endswith(("jpg", "jpeg"))


def test_a_part_of_the_splits_can_be_prepared(whole_tree: Tree) -> None:
    osma = Osma(SETTINGS, whole_tree.root)
    names = {name for (split, _), lines in whole_tree.lines.items() if split == "split4" for name, _ in lines}
    assert osma.need(["split4"]).images == osma.prepare(splits=["split4"]).decoded == len(names)
    assert osma.need(["split4"]).images == 0 < osma.need().images


def test_real_images_without_a_source_are_called_real(tree: Tree) -> None:
    name = tree.lines["split1", "test"][0][0]
    path = tree.annotation("split1", "val")
    path.write_text(path.read_text() + "./dataset/OSMA/real/loose.png\t0\n")
    shutil.copy(tree.root / "OSMA" / name, tree.root / "OSMA/real/loose.png")
    val = Osma(SETTINGS, tree.root).split("split1").val
    assert val.sources is not None and val.sources[-1] == "real"
