"""The published text format, read to the letter; every mistake in it is told with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datasets.errors import UserError
from datasets.osma.annotations import (
    Annotation,
    check_folders,
    check_labels,
    check_roles,
    check_union,
    parse_annotation,
    read_annotation,
)
from tests.datasets.osma_tree import Tree

PATH = Path("split1_test.txt")
GOOD = b"./dataset/OSMA/real/summer/2011-06-26 19:33:40_real.png\t0\n./dataset/OSMA/fake/FSGAN/a.mp4/1.png\t3\n"


def made(lines: list[tuple[str, int]], path: str = "file.txt") -> Annotation:
    return Annotation(Path(path), tuple(name for name, _ in lines), np.array([label for _, label in lines]))


def test_blanks_and_colons_belong_to_the_path() -> None:
    annotation = parse_annotation(GOOD, PATH)
    assert annotation.names == ("real/summer/2011-06-26 19:33:40_real.png", "fake/FSGAN/a.mp4/1.png")
    assert annotation.labels.tolist() == [0, 3]


def test_the_prefix_of_the_subset_is_dropped_as_well() -> None:
    assert parse_annotation(GOOD.replace(b"/OSMA/", b"/OSMA_subset/"), PATH).names == parse_annotation(GOOD, PATH).names


@pytest.mark.parametrize("content", [GOOD[:-1], GOOD.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + GOOD])
def test_editors_may_change_line_ends_and_add_a_mark(content: bytes) -> None:
    assert parse_annotation(content, PATH).names == parse_annotation(GOOD, PATH).names


def test_every_file_of_a_tree_is_read_as_pandas_reads_it(whole_tree: Tree) -> None:
    for (split, role), lines in whole_tree.lines.items():
        path = whole_tree.annotation(split, role)
        table = pd.read_csv(path, sep="\t", header=None, names=["path", "label"], quoting=3)
        names = table["path"].str.replace(r"^\./dataset/OSMA(_subset)?/", "", regex=True)
        annotation = read_annotation(path)
        assert list(annotation.names) == names.tolist() == [name for name, _ in lines]
        assert annotation.labels.tolist() == table["label"].tolist()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"./dataset/OSMA/a.png 0", "no TAB in './dataset/OSMA/a.png 0'; write PATH, a TAB, LABEL"),
        (b"", "empty line; delete it"),
        (b"./dataset/OSMA/a.png\tx", "label 'x' is not a whole number"),
        (b"./dataset/OSMA/a.png\t-1", "label '-1' is not a whole number"),
        (b"./dataset/OSMA/a.png\t", "label '' is not a whole number"),
        ("./dataset/OSMA/a.png\t３".encode(), "label '３' is not a whole number"),
        (b"./dataset/OSMA/a.png\t1e3", "label '1e3' is not a whole number"),
        (b"/etc/passwd\t0", "path '/etc/passwd' does not start with ./dataset/OSMA/"),
        (b"a.png\t0", "does not start with"),
        (b"./dataset/OSMA/../../secret.png\t0", "may leave the data root"),
        (b"./dataset/OSMA/a/..\t0", "may leave the data root"),
        (b"./dataset/OSMA//etc/passwd\t0", "may leave the data root"),
        (b"./dataset/OSMA/a/./b.png\t0", "may leave the data root"),
        (b"./dataset/OSMA/\t0", "may leave the data root"),
        (b"./dataset/OSMA/a\\..\\b.png\t0", "may leave the data root"),
        (b"./dataset/OSMA/a\tb.png\t0", "control character"),
        (b"./dataset/OSMA/a\0b.png\t0", "control character"),
        (b"./dataset/OSMA/\xff.png\t0", "byte 0xff is not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_wrong_line_is_told_with_file_number_and_remedy(line: bytes, what: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_annotation(GOOD + line + b"\n" + GOOD, PATH)
    message = str(caught.value)
    assert message.startswith("split1_test.txt:3: ") and what in message and "; " in message and "\n" not in message


def test_long_names_are_cut_in_messages() -> None:
    with pytest.raises(UserError) as caught:
        parse_annotation(b"x" * 5000 + b"\t0\n", PATH)
    assert len(str(caught.value)) < 300


def test_dots_inside_names_are_harmless() -> None:
    lines = b"./dataset/OSMA/a..b/...png\t0\n./dataset/OSMA/.a/b.\t0\n"
    assert parse_annotation(lines, PATH).names == ("a..b/...png", ".a/b.")


def test_empty_and_missing_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is empty; unpack"):
        parse_annotation(b"", PATH)
    with pytest.raises(UserError, match="cannot be read"):
        read_annotation(tmp_path / "none.txt")


def test_labels_are_those_of_the_class_list_and_none_is_missing() -> None:
    annotation = made([("a", 0), ("b", 1), ("c", 2)])
    check_labels(annotation, ["real", "x", "y"])
    with pytest.raises(UserError, match=r"file.txt:3: label 2, but the class list names 2 classes \(0 to 1\)"):
        check_labels(annotation, ["real", "x"])
    with pytest.raises(UserError, match=r"file.txt: no line has label 3, class 'z'; add its images or take"):
        check_labels(annotation, ["real", "x", "y", "z"])


def test_images_lie_in_the_folder_of_their_class() -> None:
    annotation = made([("real/a.png", 0), ("fake/ProGAN/bus/1.png", 1), ("fake/ProGAN/bus2/1.png", 1)])
    check_folders(annotation, ["real", "x"], {"real": "real"})
    with pytest.raises(UserError, match=r"file.txt:3: label 1 is class 'x', .* in fake/ProGAN/bus/, not 'fake/ProGAN"):
        check_folders(annotation, ["real", "x"], {"real": "real", "x": "fake/ProGAN/bus"})


def test_no_image_stands_in_two_files_or_twice_in_one() -> None:
    train, test = made([("a", 0), ("b", 1)], "train.txt"), made([("c", 0), ("b", 1)], "test.txt")
    check_roles([train, made([("c", 0)])])
    with pytest.raises(UserError, match=r"test.txt:2: 'b' stands in train.txt:2 too; delete one"):
        check_roles([train, test])
    with pytest.raises(UserError, match=r"test.txt:2: 'c' stands in test.txt:1 too"):
        check_roles([made([("c", 0), ("c", 0)], "test.txt")])


def test_the_union_of_the_unknown_groups_has_shifted_labels() -> None:
    groups = [made([("a", 0), ("b", 1)]), made([("c", 0)]), made([("d", 2)])]
    sizes = [2, 1, 3]
    right = [("a", 0), ("b", 1), ("c", 2), ("d", 5)]
    check_union(made(right, "out.txt"), groups, sizes)
    with pytest.raises(UserError, match=r"out.txt:3: 'c' .* not what the files of the unknown groups give"):
        check_union(made([*right[:2], ("c", 0), right[3]], "out.txt"), groups, sizes)
    with pytest.raises(UserError, match=r"out.txt: 1 images of the unknown groups are missing, such as 'd'"):
        check_union(made(right[:3], "out.txt"), groups, sizes)
    with pytest.raises(UserError, match=r"out.txt:5: 'a' with label 0"):
        check_union(made([*right, ("a", 0)], "out.txt"), groups, sizes)
