"""A small OSMA with all its classes, splits and oddities goes from image files to figures of every group."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.osma_tree import PLAN, ROLES, UNKNOWN_GROUPS, Tree, build
from tests.e2e.conftest import Finished, Place

SPLITS = tuple(PLAN["splits"])
RUN = ("--dataset", "osma", "--preset", "smoke", "--methods", "base", "--jobs", "1", "--device", "cpu")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("osma-tree")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return build(tmp_path_factory.mktemp("osma tree"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("osma run")
    return Place(folder, folder / "image cache")


@pytest.fixture(scope="module")
def done(place: Place, tree: Tree) -> Finished:
    """`run_all.py` on all five splits."""
    return place.run_all(*RUN, "--data-root", str(tree.root))


def test_the_tree_has_the_classes_and_the_oddities_of_the_published_one(tree: Tree) -> None:
    lists = [PLAN["splits"][split] for split in SPLITS]
    classes = {name for split in lists for name in split["known"]}
    classes |= {name for split in lists for group in UNKNOWN_GROUPS for name in split["unknown"][group]}
    assert (len(SPLITS), len(classes)) == (5, 82)
    for split in SPLITS:
        for role in (*ROLES, *UNKNOWN_GROUPS):
            wanted = 15 if role in ROLES else len(PLAN["splits"][split]["unknown"][role])
            assert {label for _, label in tree.lines[split, role]} == set(range(wanted))
    assert any(".mp4/" in name for name in tree.names)  # folders that look like videos
    assert any(":" in name and " " in name for name in tree.names)
    assert any(name.startswith("fake/BigGAN/imagenet/2/") for name in tree.names)  # a folder a category
    assert {name.rpartition(".")[2] for name in tree.names} == {"png", "jpg", "JPEG"}


def test_its_check_is_clean(place: Place, tree: Tree) -> None:
    report_file = place.folder / "check.json"
    words = ("--dataset", "osma", "--data-root", str(tree.root), "--json", str(report_file))
    checked = place.datasets("check", *words)
    assert (checked.status, checked.err) == (0, "")
    assert checked.out.splitlines()[-1] == "OSMA: clean"
    report = json.loads(report_file.read_text())
    assert (report["status"], report["coverage"], report["missing"]) == (0, 1.0, {})


def test_base_is_judged_on_every_split_against_all_four_groups(place: Place, tree: Tree, done: Finished) -> None:
    assert done.status == 0, done.err
    assert done.out.endswith("5 of 5 cells done, 5 computed now\n")
    for split in SPLITS:
        cell = place.results / "osma" / "smoke" / "base" / f"{split}-seed0"
        values = json.loads((cell / "evaluation.json").read_text())
        data = json.loads((cell / "cell.json").read_text())["data"]
        assert data["known"] == PLAN["splits"][split]["known"]
        assert data["unknown"] == PLAN["splits"][split]["unknown"]
        sizes = {group: len(tree.lines[split, group]) for group in UNKNOWN_GROUPS}
        sizes["all"] = sum(sizes.values())
        assert {name: part["images"] for name, part in values["unknown"].items()} == sizes
        for name, part in values["unknown"].items():
            auc = part["figures"]["auc"]
            assert math.isfinite(auc) and 0 <= auc <= 1, (split, name)
        assert values["closed_set"]["classes_present"] == 15
        with np.load(cell / "predictions.npz") as stored:
            assert set(tree.lines[split, "test"]) <= set(zip(stored["ids"], stored["label"], strict=True))


def test_the_board_is_headed_with_the_data_and_names_the_row(place: Place, done: Finished) -> None:
    assert done.status == 0, done.err
    page = (place.boards / "osma-smoke" / "README.md").read_text()
    assert page in done.out
    assert "**Data** OSMA · " in page
    assert "stand-in" not in page
    assert any(line.startswith("| Base ") for line in page.splitlines())


def test_a_wrong_line_is_one_line_on_the_terminal_and_ends_with_2(place: Place, tree: Tree, tmp_path: Path) -> None:
    path = tree.annotation("split4", "val")
    whole = path.read_text()
    path.write_text(whole.replace("\t", " ", 1))
    try:
        words = (*RUN, "--data-root", str(tree.root))
        refused = Place(tmp_path, place.cache).run_all(*words)
    finally:
        path.write_text(whole)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith(f"error: {path}:1: no TAB in ")
    assert refused.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
