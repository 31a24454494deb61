"""One walk finds images wherever they are looked for, and counts what it passes over."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.errors import UserError
from datasets.files.walk import Walk, passed_text


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    root = tmp_path / "base"
    make(
        root,
        *("a/1.png", "a/2.JPG", "a/3.jfif", "a/4.JPE", "a/5.heic", "a/notes.txt", "a/README"),
        *("a/._1.png", "a/.hidden.png", "a/Thumbs.db", "a/desktop.ini", "a/.DS_Store"),
        *("a/.ipynb_checkpoints/1-checkpoint.png", "a/__MACOSX/a/1.png", "a/__MACOSX/a/2.png", "a/@eaDir/1.png"),
        *("a/deep/er/6.tiff", "b/7.png"),
    )
    return root


NAMES = ["a/1.png", "a/2.JPG", "a/3.jfif", "a/4.JPE"]
PASSED = {
    "extension .heic": 1,
    "extension .txt": 1,
    "extension without extension": 1,
    "hidden": 5,  # ._1.png, .hidden.png, desktop.ini, .DS_Store, and one below .ipynb_checkpoints
    "__MACOSX": 2,
    "thumbnails": 2,  # Thumbs.db, and one below @eaDir
}


@pytest.mark.parametrize("place", ["a", "a/", "./a", "a/**", "a/**/*", "[a]/**"])
def test_a_folder_and_its_patterns_hold_the_same(base: Path, place: str) -> None:
    found = Walk(base).images(place)
    assert found.names == [*NAMES, "a/deep/er/6.tiff"]
    assert found.passed == PASSED


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("a/*", NAMES),
        ("a/*.png", ["a/1.png"]),
        ("*/*.png", ["a/1.png", "b/7.png"]),
        ("**/*.png", ["a/1.png", "b/7.png"]),
        ("a/**/6.*", ["a/deep/er/6.tiff"]),
        ("a/[12].*", ["a/1.png", "a/2.JPG"]),
        ("a/.ipynb_checkpoints", ["a/.ipynb_checkpoints/1-checkpoint.png"]),  # spelt, so wanted
        ("a/.hidden.png", ["a/.hidden.png"]),
        ("a/1.png", ["a/1.png"]),
        ("nowhere/*", []),
    ],
)
def test_patterns_take_what_they_say(base: Path, place: str, names: list[str]) -> None:
    assert Walk(base).images(place).names == names


def test_what_a_pattern_does_not_mean_is_not_counted(base: Path) -> None:
    assert Walk(base).images("a/*.png").passed == {"hidden": 2}  # ._1.png and .hidden.png end so
    assert Walk(base).images("b").passed == {}


def test_two_stars_stand_for_whole_folders(base: Path) -> None:
    with pytest.raises(ValueError, match="stands for whole folders"):
        Walk(base).images("a/x**")


def test_folders_that_match_are_neither_hidden_nor_left_over(base: Path) -> None:
    assert Walk(base).folders("a/*") == ["a/deep"]
    assert Walk(base).folders("*") == ["a", "b"]
    assert Walk(base).folders("a/*/er") == ["a/deep/er"]


def test_links_inside_are_read_as_files_and_told_as_folders(base: Path) -> None:
    (base / "a/8.png").symlink_to(base / "b/7.png")
    (base / "a/same").symlink_to(base / "b")
    (base / "a/gone.png").symlink_to(base / "nothing.png")
    found = Walk(base).images("a")
    assert "a/8.png" in found.names and "a/same/7.png" not in found.names
    assert found.passed == {**PASSED, "in linked folders": 1, "broken links": 1}
    assert "a/same/7.png" in Walk(base).images("a/*/*.png").names  # a star for its name


def test_links_are_followed_on_request_and_circles_entered_once(base: Path) -> None:
    (base / "a/same").symlink_to(base / "b")
    (base / "b/back").symlink_to(base / "a")
    (base / "a/self").symlink_to(base / "a")
    found = Walk(base, follow_links=True).images("a")
    assert found.names == [*NAMES, "a/deep/er/6.tiff", "a/same/7.png"]
    # The seventeen files of a, met again at a/self and at a/same/back.
    assert found.passed == {**PASSED, "in linked folders": 2 * 17}


@pytest.mark.parametrize("place", ["out", "out/*.png", "*/*.png", "a"])
def test_links_out_of_the_base_are_refused_unless_they_are_followed(base: Path, tmp_path: Path, place: str) -> None:
    make(tmp_path, "disk/9.png")
    (base / "out").symlink_to(tmp_path / "disk")
    (base / "a/out").symlink_to(tmp_path / "disk")
    with pytest.raises(UserError, match=r"leads out of .*follow_links: true"):
        Walk(base).images(place)
    assert any(name.endswith("out/9.png") for name in Walk(base, follow_links=True).images(place).names)


def test_links_out_are_passed_over_where_nobody_confines_them(base: Path, tmp_path: Path) -> None:
    make(tmp_path, "disk/9.png")
    (base / "b/out").symlink_to(tmp_path / "disk")
    found = Walk(base, confined=False).images("b")
    assert (found.names, found.passed) == (["b/7.png"], {"in linked folders": 1})


def test_a_file_that_a_link_leads_out_to_is_refused(base: Path, tmp_path: Path) -> None:
    make(tmp_path, "secret.png")
    (base / "b/secret.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(UserError, match="leads out of"):
        Walk(base).images("b")


def test_numbers_are_told_by_reason_extensions_first() -> None:
    passed = {"hidden": 1200, "extension .txt": 2, "__MACOSX": 3, "extension .heic": 1}
    assert passed_text(passed) == "by extension: 1 .heic, 2 .txt; __MACOSX: 3; hidden: 1,200"
    assert passed_text({"hidden": 1}) == "hidden: 1"
    assert passed_text({}) == ""
