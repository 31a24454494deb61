"""A user's own images: the carried example works as it stands, and every mistake has its line."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import splits
from datasets.errors import UserError
from datasets.folder.dataset import Folder
from datasets.pixels.decode import decode
from datasets.settings import DataSettings

EXAMPLE = splits.FOLDER / "example.yaml"
SETTINGS = DataSettings(image_size=16)
IMAGES = {
    "camera_a": 20,
    "camera_b/2024": 20,
    "camera_unseen": 5,
    "dcgan/seed0/train": 8,
    "dcgan/seed0/val": 3,
    "dcgan/seed0/test": 4,
    "dcgan/seed1": 6,
    "vqgan/one/deep": 4,
    "vqgan/two": 3,
    "fake/progan": 10,
    "fake/stylegan": 30,
    "fake/progan-cats": 5,
}
SMALL = """
name: small
root: images
classes:
  real: camera_a
  a: fake/progan
  b: dcgan/seed1
splits:
  only:
    known: [real, a]
    unknown: {arch: [b]}
"""

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own") / "images"
    rng = np.random.default_rng(0)
    for folder, count in IMAGES.items():
        (root / folder).mkdir(parents=True)
        for index in range(count):
            ending = "jpg" if folder.startswith("camera") else "png"
            pixels = rng.integers(0, 256, (18, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{index:03d} é.{ending}")
    (root / "fake/progan/notes.txt").write_text("no image")
    return root


@pytest.fixture
def home(pictures: Path, tmp_path: Path) -> Path:
    shutil.copytree(pictures, tmp_path / "images")
    return tmp_path


def opened(home: Path, text: str = SMALL, settings: DataSettings = SETTINGS) -> Folder:
    path = home / "own.yaml"
    path.write_text(text)
    return Folder(path, settings)


def refused(home: Path, text: str) -> str:
    with pytest.raises(UserError) as caught:
        opened(home, text).split("only")
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(str(home))


def roles(dataset: Folder, split: str, name: str) -> dict[str, set[str]]:
    """The images of a class by role."""
    parts = dataset.split(split)
    everything = {"train": parts.train, "val": parts.val, "test": parts.test, **parts.unknown}
    return {
        role: set(images.ids[images.labels == images.classes.index(name)].tolist())
        for role, images in everything.items()
        if name in images.classes
    }


def test_the_example_runs_as_it_stands(pictures: Path) -> None:
    dataset = Folder(EXAMPLE, SETTINGS, pictures)
    assert (dataset.name, dataset.title) == ("my-images", "Two cameras, six generators")
    assert dataset.split_names == ("split1", "split2") and dataset.coverage == 1
    first, second = dataset.split("split1"), dataset.split("split2")
    assert first.train.classes == ("real", "dcgan-s0", "progan", "stylegan")
    assert {group: images.classes for group, images in first.unknown.items()} == {
        "seed": ("dcgan-s1",),
        "arch": ("vqgan",),
        "dataset": ("progan-cats",),
    }
    # 8 to 1 to 1 of 40, 10 and 30; the roles of dcgan-s0 are those of its folders.
    assert Counter(first.train.labels.tolist()) == {0: 32, 1: 8, 2: 8, 3: 24}
    assert Counter(first.val.labels.tolist()) == {0: 4, 1: 3, 2: 1, 3: 3}
    assert Counter(first.test.labels.tolist()) == {0: 4 + 5, 1: 4, 2: 1, 3: 3}
    assert [len(first.unknown[group]) for group in ("seed", "arch", "dataset")] == [6, 7, 5]
    # progan is known in split 1: only its test image is asked about where it is unknown.
    assert [len(second.unknown[group]) for group in ("seed", "arch", "dataset")] == [6, 7 + 1, 0]


def test_pixels_labels_and_sources_are_those_of_the_files(pictures: Path) -> None:
    dataset = Folder(EXAMPLE, SETTINGS, pictures)
    test = dataset.split("split1").test
    assert test.sources is not None
    for position, (name, label, source) in enumerate(zip(test.ids, test.labels, test.sources, strict=True)):
        pixels = test.batch(np.array([position]))[0]
        assert np.array_equal(pixels, decode(pictures / name, 16).pixels)
        folder = name.split("/")[0]
        assert source == (folder if label == 0 else test.classes[label])


def test_no_image_has_two_roles_and_roles_are_the_same_every_time(home: Path) -> None:
    first = roles(opened(home), "only", "real")
    assert sum(map(len, first.values())) == len(set.union(*first.values())) == 20
    assert roles(opened(home), "only", "real") == first
    other = roles(opened(home, SMALL + "seed: 1\n"), "only", "real")
    assert other != first and {role: len(names) for role, names in other.items()} == {"train": 16, "val": 2, "test": 2}


def test_small_classes_have_an_image_in_each_role(home: Path) -> None:
    for path in sorted((home / "images/camera_a").iterdir())[3:]:
        path.unlink()
    assert {role: len(names) for role, names in roles(opened(home), "only", "real").items()} == {
        "train": 1,
        "val": 1,
        "test": 1,
    }


@pytest.mark.parametrize("place", ["films", "./films/", "films/**/*.png", "films/*/*/*.png"])
def test_sub_folders_can_be_kept_together(home: Path, place: str) -> None:
    for video in range(10):
        (home / f"images/films/{video}/part").mkdir(parents=True)
        for frame in range(4):
            Image.new("RGB", (16, 16)).save(home / f"images/films/{video}/part/{frame}.png")
    text = SMALL.replace("real: camera_a", f'real: "{place}"') + "keep_folders_together: true\n"
    found = roles(opened(home, text), "only", "real")
    videos = {role: {name.split("/")[1] for name in names} for role, names in found.items()}
    assert [len(videos[role]) for role in ("train", "val", "test")] == [8, 1, 1]
    assert len(set.union(*videos.values())) == 10


def test_roles_can_be_folders_of_a_pattern(home: Path) -> None:
    text = (
        SMALL.replace("  a: fake/progan\n", "").replace("[real, a]", "[real, seed0]")
        + 'pattern: "dcgan/{class}/{role}"\n'
    )
    found = roles(opened(home, text), "only", "seed0")
    assert {role: len(names) for role, names in found.items()} == {"train": 8, "val": 3, "test": 4}


def test_what_the_splits_do_not_use_is_not_looked_at(home: Path) -> None:
    text = SMALL.replace("  b: dcgan/seed1", "  b: dcgan/seed1\n  unused: nowhere")
    assert len(opened(home, text).split("only").train) == 16 + 8


def test_limits_apply(home: Path) -> None:
    split = opened(home, settings=DataSettings(image_size=16, train_per_class=5, test_per_class=1)).split("only")
    assert Counter(split.train.labels.tolist()) == {0: 5, 1: 5}
    assert len(split.unknown["arch"]) == 1


def test_the_fingerprint_follows_lists_settings_and_files(home: Path) -> None:
    first = opened(home).fingerprint
    assert opened(home, SMALL + "# a comment\ntitle: another title\n").fingerprint == first
    assert opened(home, SMALL + "ratios: {train: 0.5}\n").fingerprint != first
    assert opened(home, settings=DataSettings(image_size=32)).fingerprint != first
    Image.new("RGB", (40, 40)).save(home / "images/dcgan/seed1/new.png")
    assert opened(home).fingerprint != first


def test_unreadable_images_are_refused_or_by_choice_left_out(home: Path) -> None:
    bad = "dcgan/seed1/000 é.png"
    (home / "images" / bad).write_bytes(b"")
    assert f"such as {bad}: the file is empty" in refused(home, SMALL)
    opened(home).prepare(unreadable="skip")
    dataset = opened(home)
    assert len(dataset.split("only").unknown["arch"]) == 5 and dataset.title == "small (97.2 % of the images)"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("root: images", "rot: images", "/own.yaml:3: unknown key 'rot'; did you mean 'root'?"),
        ("root: images", "", "/own.yaml:1: key 'root' is missing"),
        ("root: images", "root: nowhere", "/own.yaml:3: the root"),
        ("name: small", "name: mini", "/own.yaml:2: name: 'mini' cannot be the name"),
        ("name: small", "name: a/b", "/own.yaml:2: name: 'a/b' cannot be the name"),
        ("real: camera_a", "real: nowhere", "/own.yaml:5: no image at 'nowhere' below"),
        ("real: camera_a", "real: [camera_a, '*/none']", "/own.yaml:5: no image at '*/none' below"),
        ("real: camera_a", "real: a**b", "/own.yaml:5: "),
        ("real: camera_a", "real: ../images", "/own.yaml:5: classes.real.divide: '../images' does not stay below"),
        ("real: camera_a", "real: /etc", "/own.yaml:5: classes.real.divide: '/etc' does not stay below the root"),
        (
            "real: camera_a",
            "real: {tain: camera_a}",
            "/own.yaml:5: unknown key 'classes.real.tain'; did you mean 'train'?",
        ),
        ("real: camera_a", "real: {}", "/own.yaml:5: classes.real: the class has no place"),
        ("real: camera_a", "real: {train: camera_a}", "/own.yaml:10: class 'real' has no val image"),
        ("real: camera_a", "real: camera_a\n  real: camera_b", "/own.yaml:6: key 'real' stands twice"),
        ("a: fake/progan", "a: camera_a", "/own.yaml:6: 'camera_a/"),
        ("b: dcgan/seed1", "c: dcgan/seed1", "/own.yaml:11: class 'b' has no place"),
        ("[real, a]", "[a, real]", "/own.yaml:9: split 'only' must list 'real' as its first known class"),
        (
            "[real, a]",
            "[real]",
            "/own.yaml:10: splits.only.known: one class is known; name at least two",
        ),
        ("[real, a]", "[real, a, b]", "/own.yaml:9: split 'only' lists class 'b' in two roles; keep one of them"),
        ("arch: [b]", "arc: [b]", "/own.yaml:11: splits.only.unknown: there is no unknown group 'arc'"),
        ("arch: [b]", "arch: []", "/own.yaml:11: splits.only.unknown: no class is unknown"),
        ("splits:", "ratios: {train: 0}\nsplits:", "/own.yaml:8: ratios.train: input should be greater than 0"),
        ("splits:", "pattern: fake/progan\nsplits:", "/own.yaml:8: pattern: 'fake/progan' needs {class} once"),
        (
            "splits:",
            "pattern: 'dcgan/seed0/../{class}'\nsplits:",
            "/own.yaml:8: pattern: 'dcgan/seed0/../{class}' does not",
        ),
        ("splits:", "pattern: 'fake/{class}/{kind}'\nsplits:", "/own.yaml:8: pattern: 'fake/{class}/{kind}' needs"),
        (
            "splits:",
            "pattern: 'vqgan/{role}/{class}'\nsplits:",
            "/own.yaml:8: folder 'vqgan/one/deep' is named after no role",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(home: Path, own_cache: Path, old: str, new: str, message: str) -> None:
    assert SMALL.count(old) >= 1
    assert refused(home, SMALL.replace(old, new, 1)).startswith(message)
    assert list(own_cache.iterdir()) == []


def test_a_file_without_places_is_told(home: Path) -> None:
    text = SMALL.replace("classes:\n  real: camera_a\n  a: fake/progan\n  b: dcgan/seed1\n", "")
    assert "neither 'classes' nor 'pattern'" in refused(home, text)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_links_out_of_the_root_are_refused(home: Path, kind: str) -> None:
    (home / "elsewhere").mkdir()
    Image.new("RGB", (16, 16)).save(home / "elsewhere/1.png")
    link = home / "images/camera_a/link.png" if kind == "file" else home / "images/camera_a/link"
    link.symlink_to(home / "elsewhere/1.png" if kind == "file" else home / "elsewhere")
    assert "is a link that leads out of" in refused(home, SMALL)


def test_names_that_are_no_text_are_refused(home: Path) -> None:
    broken = str(home / "images/camera_a").encode() + b"/\xff.png"
    with open(broken, "wb"):  # noqa: PTH123 (a Path has no bytes)
        pass
    assert refused(home, SMALL).startswith("/own.yaml:5: 'camera_a/\\udcff.png' has a name that is no text; rename")


def test_an_unknown_split_is_told(home: Path) -> None:
    with pytest.raises(UserError, match="small has no split 'split1'; it has only"):
        opened(home).split("split1")


# -- what is read, and what is passed over ---------------------------------------------------------


def ids(dataset: Folder, name: str) -> set[str]:
    return set().union(*roles(dataset, "only", name).values())


def test_every_extension_of_a_format_is_read_in_any_case(home: Path) -> None:
    folder = home / "images/camera_a"
    for position, path in enumerate(sorted(folder.iterdir())[:8]):
        path.rename(path.with_suffix((".jfif", ".JPE", ".JPG", ".JFIF")[position % 4]))
    assert len(ids(opened(home), "real")) == IMAGES["camera_a"]


def test_what_is_passed_over_is_counted_by_class_and_reason(home: Path) -> None:
    (home / "images/camera_a/a.heic").touch()
    (home / "images/camera_a/._000.jpg").touch()
    (home / "images/dcgan/seed1/__MACOSX").mkdir()
    (home / "images/dcgan/seed1/__MACOSX/._000.png").touch()
    assert opened(home).passed_over == {
        ("real", "extension .heic"): 1,
        ("real", "hidden"): 1,
        ("a", "extension .txt"): 1,
        ("b", "__MACOSX"): 1,
    }


@pytest.mark.parametrize("place", ["camera_a", '"camera_a/*"', '"camera_a/**"', '"camera_a/**/*.jpg"'])
def test_hidden_files_join_no_class_whatever_its_place(home: Path, place: str) -> None:
    folder = home / "images/camera_a"
    names = {f"camera_a/{path.name}" for path in folder.iterdir()}
    first = min(folder.iterdir())
    (folder / ".ipynb_checkpoints").mkdir()
    shutil.copy(first, folder / ".ipynb_checkpoints" / first.name)
    (folder / f"._{first.name}").write_bytes(b"\0\5\x16\7")
    assert ids(opened(home, SMALL.replace("camera_a", place)), "real") == names


def test_a_hidden_folder_is_no_role(home: Path) -> None:
    for name in ("real", "a", "b"):
        for role in ("train", "val", "test"):
            shutil.copytree(home / "images/fake/progan", home / f"roles/{name}/{role}")
    (home / "roles/real/.ipynb_checkpoints").mkdir()
    text = (
        'name: roles\nroot: roles\npattern: "{class}/{role}"\n'
        "splits: {only: {known: [real, a], unknown: {arch: [b]}}}\n"
    )
    assert set(roles(opened(home, text), "only", "real")) == {"train", "val", "test"}


def test_a_class_on_another_disk_needs_one_setting(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    disk = tmp_path_factory.mktemp("disk")
    shutil.move(home / "images/fake/progan", disk / "progan")
    (home / "images/fake/progan").symlink_to(disk / "progan")
    assert "write follow_links: true into their YAML file" in refused(home, SMALL)
    dataset = opened(home, "follow_links: true\n" + SMALL)
    assert ids(dataset, "a") == {f"fake/progan/{index:03d} é.png" for index in range(IMAGES["fake/progan"])}


def test_odd_sizes_are_flagged_when_they_are_decoded(home: Path) -> None:
    for name, size in (("one", (1, 1)), ("line", (5000, 1)), ("tall", (20, 30000))):
        Image.new("RGB", size, (9, 9, 9)).save(home / f"images/camera_a/{name}.png")
    flagged = opened(home).prepare().flagged
    assert set(flagged["constant"]) == {f"camera_a/{name}.png" for name in ("one", "line", "tall")}
    assert set(flagged["narrow"]) == {"camera_a/line.png", "camera_a/tall.png"}
    assert set(flagged["enlarged"]) == {"camera_a/one.png", "camera_a/line.png"}
