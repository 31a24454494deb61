"""What is wrong with a data root in the layout of OSMA is told in one line, before anything is decoded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datasets.errors import UserError
from datasets.osma.dataset import Osma
from datasets.settings import DataSettings
from tests.datasets.osma_tree import PLAN, Tree, official_lists

SETTINGS = DataSettings(image_size=16)

pytestmark = pytest.mark.usefixtures("own_cache")


def refused(root: Path, split: str = "split1") -> str:
    """The one line that opening a split ends with."""
    with pytest.raises(UserError) as caught:
        Osma(SETTINGS, root).split(split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_class_without_images_is_an_error_only_where_training_needs_it(tree: Tree) -> None:
    for path in (tree.root / "OSMA/fake/SAGAN").rglob("*.png"):  # known in split 1, unknown in the others
        path.unlink()
    assert "split1 has no train image of class 'SAGAN_imagenet'" in refused(tree.root)
    assert Osma(SETTINGS, tree.root).split("split2").unknown["arch"].classes[8] == "SAGAN_imagenet"


def test_no_validation_image_at_all_is_an_error(tree: Tree) -> None:
    for name, _ in tree.lines["split1", "val"]:
        (tree.root / "OSMA" / name).unlink()
    assert "split1 has no val image of any class" in refused(tree.root)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            lambda text: text.replace("unknown_classes2:", "unknown_classes9:", 1),
            "'split1.unknown_classes2' is missing",
        ),
        (lambda text: text.replace("- real", "- unreal", 1), "must list 'real' as its first known class"),
        (lambda text: text.replace("- FSGAN", "- FaceSwap", 1), "lists class 'FaceSwap' in two roles"),
        (lambda text: text.replace("- FSGAN", "- [", 1), "not valid YAML"),
        (lambda text: "just words", "is not a mapping"),
    ],
)
def test_wrong_class_lists_are_told_with_their_place(tree: Tree, change, what: str) -> None:  # type: ignore[no-untyped-def]
    path = tree.root / "configs" / "data_list.yaml"
    path.parent.mkdir()
    path.write_text(change(official_lists(PLAN["splits"])))
    message = refused(tree.root)
    assert str(path) in message and what in message


def test_a_missing_annotation_file_is_told(tree: Tree) -> None:
    tree.annotation("split1", "arch").unlink()
    assert "split1_test_out_arch.txt cannot be read" in refused(tree.root)
    Osma(SETTINGS, tree.root).split("split2")


def test_the_union_is_optional_but_must_agree(tree: Tree) -> None:
    path = tree.annotation("split1", "out")
    path.write_text(path.read_text().replace("\t40\n", "\t41\n", 1))
    assert f"{path}:41: " in refused(tree.root)
    path.unlink()
    Osma(SETTINGS, tree.root).split("split1")


@pytest.mark.parametrize(
    ("role", "line", "what"),
    [
        ("train", "./dataset/OSMA/fake/ProGAN/bus/x.png 14", "no TAB"),
        ("val", "./dataset/OSMA/fake/ProGAN/bus/x.png\t15", "label 15, but the class list names 15 classes"),
        ("test", "./dataset/OSMA/../../x.png\t0", "may leave the data root"),
        ("seed", "/etc/hostname\t0", "does not start with ./dataset/OSMA/"),
        ("arch", "./dataset/OSMA/fake/ProGAN/bus/x.png\t3", "whose images lie in fake/InfoMax-GAN"),
        ("dataset", "", "empty line"),
    ],
)
def test_a_wrong_line_stops_the_split_before_anything_is_decoded(
    tree: Tree, own_cache: Path, role: str, line: str, what: str
) -> None:
    path = tree.annotation("split1", role)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, line]) + "\n")
    message = refused(tree.root)
    assert message.startswith(f"{path}:{len(lines) + 1}: ") and what in message
    assert list(own_cache.iterdir()) == []


def test_an_image_in_two_roles_is_told(tree: Tree) -> None:
    name, label = tree.lines["split1", "train"][0]
    path = tree.annotation("split1", "test")
    with path.open("a") as file:
        file.write(f"./dataset/OSMA/{name}\t{label}\n")
    assert "split1_train.txt:1 too; delete one of the lines" in refused(tree.root)


def test_a_class_that_its_file_forgets_is_told(tree: Tree) -> None:
    path = tree.annotation("split1", "val")
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if not line.endswith("\t9\n")))
    assert "no line has label 9, class 'FaceSwap'" in refused(tree.root)


def test_a_link_out_of_the_root_is_refused(tree: Tree, tmp_path: Path) -> None:
    image = tree.root / "OSMA" / tree.lines["split1", "train"][0][0]
    image.rename(tmp_path / "elsewhere.png")
    image.symlink_to(tmp_path / "elsewhere.png")
    assert "is a link that leads out of" in refused(tree.root)


@pytest.mark.parametrize("split", ["split6", "subset2", ""])
def test_a_split_that_is_not_there_is_told(whole_tree: Tree, split: str) -> None:
    assert "it has split1, split2, split3, split4, split5, subset" in refused(whole_tree.root, split)


def test_a_wrong_root_is_told(whole_tree: Tree, tmp_path: Path) -> None:
    assert "is no folder" in refused(tmp_path / "none")
    assert "holds no split1_test/annotations/split1_test.txt" in refused(whole_tree.root / "OSMA")
    shutil.copytree(whole_tree.root / "split1_val", tmp_path / "split1_val")
    assert "neither OSMA/ nor OSMA_subset/" in refused(tmp_path)


def test_a_damaged_manifest_is_told(tree: Tree) -> None:
    (tree.root / "manifest.json").write_text("[")
    assert "manifest.json is damaged; export the data again" in refused(tree.root)
