"""Images are found below their root and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.errors import UserError
from datasets.files.present import present_images


def touch(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


def test_what_is_there_is_found_and_what_is_not_is_left_out(tmp_path: Path) -> None:
    path = touch(tmp_path / "a" / "b" / "1.png")
    (tmp_path / "a" / "folder.png").mkdir()
    names = ["a/b/1.png", "a/b/2.png", "a/none/1.png", "a/folder.png", f"a/{'x' * 300}.png", f"{'y' * 300}/1.png"]
    assert present_images([tmp_path], names) == {"a/b/1.png": path}


def test_a_folder_may_be_called_like_a_film(tmp_path: Path) -> None:
    path = touch(tmp_path / "749_055.mp4" / "1.png")
    assert present_images([tmp_path], ["749_055.mp4/1.png"]) == {"749_055.mp4/1.png": path}


def test_colons_may_have_become_underscores(tmp_path: Path) -> None:
    path = touch(tmp_path / "2011-06-26 19_33_40" / "10_20.png")
    name = "2011-06-26 19:33:40/10:20.png"
    assert present_images([tmp_path], [name]) == {name: path}


def test_an_image_with_an_underscore_does_not_stand_in_for_another_one(tmp_path: Path) -> None:
    path = touch(tmp_path / "a_b.png")
    assert present_images([tmp_path], ["a:b.png", "a_b.png"]) == {"a_b.png": path}


def test_names_are_case_sensitive(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpeg")
    assert present_images([tmp_path], ["a.JPEG"]) == {}


def test_the_first_of_several_bases_wins(tmp_path: Path) -> None:
    first, second = touch(tmp_path / "first" / "1.png"), touch(tmp_path / "second" / "2.png")
    touch(tmp_path / "second" / "1.png")
    found = present_images([tmp_path / "first", tmp_path / "second"], ["1.png", "2.png"])
    assert found == {"1.png": first, "2.png": second}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, kind: str) -> None:
    touch(tmp_path / "elsewhere" / "1.png")
    base = tmp_path / "base"
    base.mkdir()
    if kind == "file":
        (base / "1.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    else:
        (base / "folder").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link that leads out of") as caught:
        present_images([base], ["1.png" if kind == "file" else "folder/1.png"])
    assert "\n" not in str(caught.value) and str(base) in str(caught.value)


def test_the_base_may_be_a_link_and_links_inside_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "disk" / "a" / "1.png")
    (tmp_path / "base").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "b").symlink_to(tmp_path / "disk" / "a")
    assert list(present_images([tmp_path / "base"], ["a/1.png", "b/1.png"])) == ["a/1.png", "b/1.png"]
