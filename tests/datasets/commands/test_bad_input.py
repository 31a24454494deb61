"""Every kind of bad input from the command line: one line with place and remedy, status 2, nothing half written.

What each reader makes of odd content is tested in its own place; here is what a user sees of it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.commands.main import main
from datasets.console import exit_status
from datasets.osma.dataset import Osma
from datasets.settings import DataSettings
from tests.datasets.osma_tree import Tree, build
from tests.datasets.own_images import DESCRIPTION
from tests.datasets.pixels.test_decode import raw_png

Screen = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("own_cache")

FOLDERS = ("train/real", "train/first", "val/real", "val/first", "test/real", "test/first", "test/second")


def run(*words: object) -> int:
    return exit_status(lambda: main(list(map(str, words))))


def only_line(screen: Screen) -> str:
    """What stands on stderr: one line and nothing else."""
    text = screen.readouterr().err
    assert text.count("\n") == 1 and text.startswith("error: "), text
    return text.removeprefix("error: ").rstrip()


def picture(mode: str = "RGB", kind: str = "PNG", **options: object) -> bytes:
    """A small image file of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 44, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(content, kind, **options)
    return content.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(kind="JPEG", exif=exif)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's own images: one good image in every place."""
    for folder in FOLDERS:
        (tmp_path / "images" / folder).mkdir(parents=True)
        (tmp_path / "images" / folder / "good.png").write_bytes(picture())
    (tmp_path / "own.yaml").write_text(DESCRIPTION)
    return tmp_path


def prepare(home: Path, *words: str) -> int:
    return run("prepare", "--dataset", home / "own.yaml", "--image-size", 16, *words)


# -- image files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "flag"),
    [
        ("half.png", picture()[:2000], "truncated"),
        ("half.jpg", picture(kind="JPEG")[:900], "truncated"),
        ("deep.png", raw_png(20, 20, 16, 2, (b"\0" + bytes(range(120))) * 20), "16-bit"),
        ("palette.png", picture("P"), "palette"),
        ("print.jpg", picture("CMYK", "JPEG"), "cmyk"),
        ("clear.png", picture("RGBA"), "alpha"),
        ("turned.jpg", turned(), "rotated"),
        ("film.gif", picture(kind="GIF", save_all=True, append_images=[Image.new("RGB", (44, 40))]), "animated"),
        ("wrong.png", picture(kind="JPEG"), "extension"),
        ("Фото 写真 é.png", picture(), None),
        ("n" * 251 + ".png", picture(), None),  # the longest that most disks hold
    ],
)
def test_odd_images_are_read_and_counted(
    home: Path, capsys: Screen, name: str, content: bytes, flag: str | None
) -> None:
    (home / "images/train/first" / name).write_bytes(content)
    assert prepare(home) == 0
    out, err = capsys.readouterr()
    assert err == "" and f"{len(FOLDERS) + 1} images ready: {len(FOLDERS) + 1} decoded now" in out
    odd = [line.split()[:2] for line in out.splitlines() if f"train/first/{name}" in line]
    assert ([flag, "1"] in odd) if flag else not odd


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "the file is empty"),
        ("text.png", b"no image at all", "not an image"),
        ("bomb.png", raw_png(50_000, 50_000, 8, 2, b"\0"), "more than 89,478,485 pixels"),
        ("grey.png", raw_png(8, 8, 16, 0, (b"\0" + b"\x12\x34" * 8) * 8), "greyscale of more than 8 bits"),
    ],
)
def test_unreadable_images_are_refused_in_one_line_and_all_others_kept(
    home: Path, own_cache: Path, capsys: Screen, name: str, content: bytes, reason: str
) -> None:
    (home / "images/train/first" / name).write_bytes(content)
    assert prepare(home) == 2
    line = only_line(capsys)
    assert line.startswith(f"1 of {len(FOLDERS) + 1} images cannot be read, such as train/first/{name}: {reason}")
    assert line.endswith("; repair them, or do without: python -m datasets prepare --unreadable skip")
    stored = [json.loads(entry)[0] for entry in next(own_cache.glob("*.ledger")).read_text().splitlines()]
    assert sorted(stored) == sorted(f"{folder}/good.png" for folder in FOLDERS)
    assert next(own_cache.glob("*.pixels")).stat().st_size <= (len(FOLDERS) + 1) * 16 * 16 * 3
    assert prepare(home, "--unreadable", "skip") == 0
    assert f"train/first/{name}: {reason}" in capsys.readouterr().out


def test_an_image_side_that_is_no_multiple_of_16_is_refused(home: Path, own_cache: Path, capsys: Screen) -> None:
    for side in (50, 8, 0, -16):
        assert run("prepare", "--dataset", home / "own.yaml", "--image-size", side) == 2
        assert only_line(capsys).startswith(f"--image-size {side}: should be ")
    assert list(own_cache.iterdir()) == []


# -- descriptions -------------------------------------------------------------------------------------


def swapped(old: str, new: str) -> Callable[[Path], None]:
    """A change of the description."""

    def change(home: Path) -> None:
        assert old in DESCRIPTION
        (home / "own.yaml").write_text(DESCRIPTION.replace(old, new))

    return change


def linked(home: Path) -> None:
    (home / "secret.png").write_bytes(picture())
    (home / "images/train/first/link.png").symlink_to(home / "secret.png")


def emptied(home: Path) -> None:
    (home / "images/test/second/good.png").unlink()


@pytest.mark.parametrize(
    ("change", "start", "remedy"),
    [
        (swapped("pattern:", "patern:"), "own.yaml:3: unknown key 'patern'; did you mean", "; keys are name"),
        (swapped("[second]", "[first]"), "own.yaml:5: split 'only' lists class 'first' in two roles", "; keep one"),
        (swapped('"{role}', '"/etc/{role}'), "own.yaml:3: pattern: '/etc/{role}/{class}' does not", "; write a path"),
        (swapped('"{role}', '"../{role}'), "own.yaml:3: pattern: '../{role}/{class}' does not stay", "without '..'"),
        (
            lambda home: (home / "own.yaml").write_bytes(DESCRIPTION.encode() + b"title: caf\xe9\n"),
            "own.yaml:8: byte 0xe9 is not UTF-8",
            "; save the file as UTF-8",
        ),
        (emptied, "own.yaml:3: no image at 'test/second'", "; correct the place"),
        (linked, "images/train/first/link.png is a link that leads out of", "; put the files themselves there"),
    ],
)
def test_a_wrong_description_is_one_line_and_nothing_is_decoded(
    home: Path, own_cache: Path, capsys: Screen, change: Callable[[Path], None], start: str, remedy: str
) -> None:
    change(home)
    assert prepare(home) == 2
    line = only_line(capsys).removeprefix(f"{home}/")
    assert line.startswith(start) and remedy in line
    assert list(own_cache.iterdir()) == []


# -- annotation files ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """One split of OSMA's layout."""
    return build(tmp_path_factory.mktemp("osma"), side=8, splits=1)


@pytest.mark.parametrize(
    ("line", "what", "remedy"),
    [
        (b"./dataset/OSMA/real/bus/x.png 0", "no TAB in ", "; write PATH, a TAB, LABEL"),
        (b"./dataset/OSMA/real/bus/x.png\t15", "label 15, but the class list names 15 classes", "; correct the label"),
        (b"./dataset/OSMA/real/bus/x.png\t-1", "label '-1' is not a whole number from 0", "; write PATH"),
        (b"/etc/hostname\t0", "path '/etc/hostname' does not start with ./dataset/OSMA/", "; write it as published"),
        (b"./dataset/OSMA/../../x.png\t0", "may leave the data root", "; use no '..'"),
        (b"./dataset/OSMA/real/caf\xe9.png\t0", "byte 0xe9 is not UTF-8", "; save the file as UTF-8"),
    ],
)
def test_a_wrong_annotation_line_is_told_with_file_and_number(
    small: Tree, own_cache: Path, capsys: Screen, line: bytes, what: str, remedy: str
) -> None:
    path = small.annotation("split1", "val")
    whole = path.read_bytes()
    path.write_bytes(whole + line + b"\n")
    try:
        assert run("prepare", "--dataset", "osma", "--data-root", small.root, "--image-size", 16) == 2
    finally:
        path.write_bytes(whole)
    text = only_line(capsys)
    assert text.startswith(f"{path}:{len(whole.splitlines()) + 1}: ") and what in text and remedy in text
    assert list(own_cache.iterdir()) == []


def test_a_name_that_no_disk_can_hold_is_a_missing_image(small: Tree) -> None:
    path = small.annotation("split1", "val")
    whole = path.read_bytes()
    names = ["real/bus/" + "n" * 5000 + ".png", "real/" + "f" * 5000 + "/1.png"]
    path.write_bytes(whole + "".join(f"./dataset/OSMA/{name}\t0\n" for name in names).encode())
    try:
        osma = Osma(DataSettings(image_size=16), small.root)
        assert osma.missing == tuple(sorted(names))
    finally:
        path.write_bytes(whole)
