"""What `check` finds in trees that are in order, and in trees that were broken on purpose."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datasets.catalogue import DataRequest
from datasets.checks.check import Checked, check
from datasets.settings import DataSettings
from tests.datasets.osma_tree import Tree

SETTINGS = DataSettings(image_size=16)

pytestmark = pytest.mark.usefixtures("own_cache")


def look(tree: Tree) -> Checked:
    return check(DataRequest("osma", tree.root, SETTINGS))


def bad(checked: Checked) -> list[tuple[str, str, str]]:
    return [(f.check, f.where, f.status) for f in checked.findings if f.status in ("warning", "error")]


def test_a_whole_tree_is_clean(whole_tree: Tree) -> None:
    checked = look(whole_tree)
    assert (bad(checked), checked.status, checked.missing) == ([], 0, {})
    assert checked.facts["coverage"] == 1.0
    # Five splits and the subset, each with these checks.
    for name in ("files", "labels", "folders", "roles", "usable"):
        assert sum(finding.check == name for finding in checked.findings) == 6
    assert sum(finding.check == "union" for finding in checked.findings) == 5


def test_mini_is_clean() -> None:
    sizes = DataSettings(image_size=32, train_per_class=1, val_per_class=1, test_per_class=1)
    checked = check(DataRequest("mini", None, sizes))
    assert (bad(checked), checked.status) == ([], 0)


def test_missing_images_are_counted_by_folder(tree: Tree) -> None:
    folder = tree.root / "OSMA/fake/FSGAN/youtube_c23"
    listed = [name for name in tree.names if name.startswith("fake/FSGAN/youtube_c23/")]
    gone = sorted(folder.rglob("*.png"))[0]
    gone.unlink()
    checked = look(tree)
    assert checked.missing == {"fake/FSGAN/youtube_c23": (1, len(listed))}
    assert ("images", "osma", "warning") in bad(checked)
    assert checked.facts["coverage"] == 1 - 1 / len(tree.names)


def test_a_split_without_training_images_of_a_class_is_unusable(tree: Tree) -> None:
    shutil.rmtree(tree.root / "OSMA/fake/MMDGAN/lsun_bedroom_200k_png")  # known in split 1, unknown in others
    checked = look(tree)
    assert checked.status == 2
    assert [(f.where, "lsun_MMDGAN" in f.message) for f in checked.findings if f.status == "error"] == [
        ("split1", True)
    ]


def test_every_mistake_is_told_at_once(tree: Tree) -> None:
    first = tree.annotation("split1", "train")
    first.write_text(first.read_text().replace("\t", " ", 1))
    second = tree.annotation("split2", "val")
    second.write_text(second.read_text() + f"./dataset/OSMA/{tree.lines['split2', 'train'][0][0]}\t0\n")
    tree.annotation("split3", "test").unlink()
    fourth = tree.annotation("split4", "seed")
    fourth.write_text(fourth.read_text().replace("\t3\n", "\t77\n", 1))
    fifth = tree.annotation("split5", "out")
    fifth.write_text("".join(fifth.read_text().splitlines(keepends=True)[:-1]))
    checked = look(tree)
    assert {("lines", "split1", "error"), ("roles", "split2", "error"), ("files", "split3", "error")} <= set(
        bad(checked)
    )
    assert {("labels", "split4", "error"), ("union", "split5", "error")} <= set(bad(checked))
    assert checked.status == 2
    assert any(finding.check == "images" and finding.status == "note" for finding in checked.findings)


def test_an_image_in_another_classs_folder_is_told_with_its_line(tree: Tree) -> None:
    path = tree.annotation("split1", "arch")
    lines = path.read_text().splitlines(keepends=True)
    lines[0] = lines[0].replace("\t0", "\t1")
    path.write_text("".join(lines))
    messages = [finding.message for finding in look(tree).findings if finding.check in ("labels", "folders")]
    assert any(f"{path}" in message and "label 0" in message for message in messages)


def test_empty_files_and_changed_colons_are_told(tree: Tree) -> None:
    for path in (tree.root / "OSMA/real/summer").iterdir():
        path.rename(path.with_name(path.name.replace(":", "_")))
    next((tree.root / "OSMA/real/bus").iterdir()).write_bytes(b"")
    checked = look(tree)
    assert bad(checked) == [("empty files", "osma", "warning")]
    assert [finding.status for finding in checked.findings if finding.check == "spelling"] == ["note"]


def test_names_that_differ_by_case_alone_are_told(tree: Tree) -> None:
    name, label = next(line for line in tree.lines["split1", "train"] if line[0].startswith("real/bus/"))
    twin = f"{name[:-4]}.PNG"
    shutil.copy(tree.root / "OSMA" / name, tree.root / "OSMA" / twin)
    path = tree.annotation("split1", "train")
    path.write_text(f"{path.read_text()}./dataset/OSMA/{twin}\t{label}\n")
    assert bad(look(tree)) == [("spelling", "osma", "warning")]


def test_fewer_splits_are_a_warning(tree: Tree) -> None:
    for part in ("train", "val", "test"):
        shutil.rmtree(tree.root / f"split4_{part}")
    checked = look(tree)
    assert bad(checked) == [("files", "osma", "warning")]
    assert "split4" in checked.findings[1].message


def test_a_root_that_is_none_is_unusable(tmp_path: Path) -> None:
    checked = check(DataRequest("osma", tmp_path, SETTINGS))
    assert (checked.status, bad(checked)) == (2, [("opens", "osma", "error")])
    assert checked.to_json()["status"] == 2


def test_links_out_of_the_root_are_unusable(tree: Tree, tmp_path: Path) -> None:
    target = tree.root / "OSMA/real/bus"
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    checked = look(tree)
    assert (checked.status, bad(checked)) == (2, [("images", "osma", "error")])
