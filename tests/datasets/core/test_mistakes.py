"""Common mistakes in a description have words of their own: what YAML made of a word, and what to write."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.errors import UserError
from datasets.folder.dataset import Folder
from datasets.folder.plan import FolderPlan
from datasets.settings import DataSettings

RIGHT = {
    "name": "own", "root": "images", "classes": "{real: r, a: b, x: y}", "ratios": "{train: 8}", "seed": "1",
    "keep_folders_together": "false", "splits": "{one: {known: [real, a], unknown: {arch: [x]}}}",
}  # fmt: skip


def described(folder: Path, **entries: str) -> Path:
    path = folder / "own.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in (RIGHT | entries).items()))
    return path


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"name": "no"}, 'name: no is read as true or false, not as text; put it in quotes: "no"'),
        ({"name": "0"}, 'name: 0 is read as a number, not as text; put it in quotes: "0"'),
        ({"classes": "{real: r, 1: b}"}, 'classes.1: 1 is read as a number, not as text; put it in quotes: "1"'),
        (
            {"classes": "{real: r, on: b}"},
            'classes.1: on is read as true or false, not as text; put it in quotes: "on"',
        ),
        (
            {"classes": "{real: r, a: [2024-01-01]}"},
            "classes.a.divide.0: 2024-01-01 is read as a date, not as text; put",
        ),
        ({"title": ""}, None),
        ({"root": ""}, "root: it is empty; write a name"),
        (
            {"splits": "{one: {known: [real, 1.5], unknown: {arch: [x]}}}"},
            'splits.one.known.1: 1.5 is read as a number, not as text; put it in quotes: "1.5"',
        ),
        (
            {"splits": "{one: {known: [real], unknown: {arch: [x]}}}"},
            "splits.one.known: one class is known; name at least two, 'real' and a generator",
        ),
        (
            {"splits": "{one: {known: real, unknown: {arch: [x]}}}"},
            "splits.one.known: 'real' is not a list, such as [a, b]; write a list, such as [a, b]",
        ),
        ({"splits": "{}"}, "splits: 0 given, at least 1 needed; add one"),
        ({"seed": "'8'"}, "seed: '8' is not a whole number; write it without quotes"),
        ({"ratios": "{train: '8'}"}, "ratios.train: '8' is not a number; write it without quotes"),
        ({"ratios": "{train: .nan}"}, "ratios.train: .nan is not a finite number; write a finite number"),
        ({"ratios": "{train: .inf}"}, "ratios.train: .inf is not a finite number; write a finite number"),
        ({"ratios": "{train: 1.0e+308}"}, "ratios.train: input should be less than or equal to 1000000000"),
        ({"keep_folders_together": "'yes'"}, "keep_folders_together: 'yes' is not true or false; write it without"),
        (
            {"classes": "{real: r, a: 'b\\c', x: y}"},
            "classes.a.divide: 'b\\c' has a backslash; write '/'",
        ),
        ({"classes": "{real: " + "a/" * 99 + "a}"}, "classes.real.divide: '" + "a/" * 58 + "a..."),
        (
            {"classes": "{real: " + "a" * 300 + "}"},
            "classes.real.divide: '" + "a" * 117 + "...' is too long: ",
        ),
        ({"classes": "{real: '" + "**/" * 9 + "a'}"}, "classes.real.divide: '" + "**/" * 9 + "a' has '**' more than 3"),
        ({"name": "n" * 300}, "name: '" + "n" * 117 + "...' cannot be the name"),
    ],
)
def test_a_common_mistake_is_told_in_words_of_ours(
    tmp_path: Path, entries: dict[str, str], message: str | None
) -> None:
    path = described(tmp_path, **entries)
    if message is None:
        assert FolderPlan(path)
        return
    with pytest.raises(UserError) as caught:
        FolderPlan(path)
    assert message in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_a_home_of_a_user_who_is_not_there_is_refused(tmp_path: Path) -> None:
    plan = FolderPlan(described(tmp_path, root="~no-such-user/x"))
    with pytest.raises(UserError, match=r":2: root '~no-such-user/x' names a user who is not there$"):
        plan.root  # noqa: B018


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
def test_accents_are_the_same_however_disk_and_file_write_them(tmp_path: Path, on_disk: str, in_file: str) -> None:
    disk, file = (unicodedata.normalize(form, "gan-é") for form in (on_disk, in_file))  # type: ignore[arg-type]
    for number, name in enumerate(("real", disk, "x", f"place-{disk}")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for image in range(5):
            pixels = np.full((16, 16, 3), 10 * number + image, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{image}.png")
    splits = f"{{one: {{known: [real, {file}, b], unknown: {{arch: [x]}}}}}}"
    path = described(tmp_path, classes=f"{{b: place-{file}}}", pattern='"{class}"', splits=splits)
    folder = Folder(path, DataSettings(image_size=16))
    assert folder.split("one").train.classes == ("real", file, "b")
