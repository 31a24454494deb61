"""Confounds that were planted are found, and none is found where none was planted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.catalogue import DataRequest
from datasets.checks.audit import audit
from datasets.checks.audit_tables import audit_tables
from datasets.checks.check import check
from datasets.checks.container import grid_strength, look_at
from datasets.checks.video_overlap import shared_units
from datasets.files.dataset import FileDataset
from datasets.files.listing import Listing
from datasets.folder.dataset import Folder
from datasets.osma.dataset import Osma
from datasets.settings import DataSettings
from tests.datasets.osma_tree import REAL, Tree

SETTINGS = DataSettings(image_size=16)
SPLIT = "splits: {one: {known: [real, a, b], unknown: {arch: [c]}}}\n"
PIXELS_OK = {"JPEG grid": "ok", "duplicates": "ok", "odd images": "ok"}
ROLES = {"train": 30, "val": 2, "test": 20}

pytestmark = pytest.mark.usefixtures("own_cache")


def noise(name: str, width: int = 24, height: int = 24) -> Image.Image:
    return Image.fromarray(np.random.default_rng(list(name.encode())).integers(0, 256, (height, width, 3), np.uint8))


def own_data(root: Path, suffix: Mapping[str, str], width: Mapping[str, int], scenes: int = 0) -> Folder:
    """Real images and three generators, in files of chosen format and size."""
    for origin in ("real", "a", "b", "c"):
        for role, count in ROLES.items():
            for index in range(count):
                # Class b has test scenes of its own.
                shift = 100 if origin == "b" and role == "test" else 0
                scene = f"scene{index % scenes + shift}/" if scenes else ""
                path = root / f"{origin}/{scene}{role}{index:03d}{suffix.get(origin, '.png')}"
                path.parent.mkdir(parents=True, exist_ok=True)
                noise(f"{path.name}{origin}", width.get(origin, 24)).save(path)
    places = "".join(
        f"  {origin}: {{{', '.join(f'{role}: {chr(34)}{origin}/**/{role}*{chr(34)}' for role in ROLES)}}}\n"
        for origin in ("real", "a", "b", "c")
    )
    (root / "own.yaml").write_text(f"name: own\nroot: .\nclasses:\n{places}{SPLIT}")
    return Folder(root / "own.yaml", SETTINGS)


def statuses(dataset: FileDataset) -> dict[str, str]:
    return {finding.check: finding.status for finding in audit(dataset).findings}


def test_equal_containers_tell_nothing(tmp_path: Path) -> None:
    looked = audit(own_data(tmp_path, {}, {}))
    assert {finding.check: finding.status for finding in looked.findings} == {
        "formats": "ok",
        "container": "ok",
        **PIXELS_OK,
    }
    for feature in ("extension", "format", "JPEG tables", "image size", "all of these"):
        score = looked.splits["one"].scores[feature]
        assert (score.accuracy, score.real_or_not) == pytest.approx((1 / 3, 0.5))


def test_luck_is_the_spread_of_guesses(tmp_path: Path) -> None:
    score = audit(own_data(tmp_path, {}, {})).splits["one"].scores["extension"]
    rng = np.random.default_rng(0)
    three = rng.binomial(20, 1 / 3, (20_000, 3)).mean(axis=1) / 20
    two = (rng.binomial(20, 0.5, 20_000) / 20 + rng.binomial(40, 0.5, 20_000) / 40) / 2
    assert (score.chance, score.luck) == pytest.approx((three.mean(), three.std()), rel=0.03)
    assert score.luck_real_or_not == pytest.approx(two.std(), rel=0.03)
    assert not score._replace(accuracy=1 / 3 + 0.15).beats_chance  # less than three deviations
    assert score._replace(accuracy=1 / 3 + 0.2).beats_chance


def test_real_images_in_jpeg_alone_tell_real_from_generated(tmp_path: Path) -> None:
    looked = audit(own_data(tmp_path, {"real": ".jpg"}, {}))
    scores = looked.splits["one"].scores
    for feature in ("extension", "format", "JPEG tables", "all of these"):
        assert scores[feature].real_or_not == 1
        assert scores[feature].accuracy == pytest.approx(2 / 3)  # real, and one of two that look alike
    assert scores["image size"].real_or_not == 0.5
    assert {finding.check: finding.status for finding in looked.findings} == {
        "formats": "warning",
        "container": "warning",
        **PIXELS_OK,
    }
    assert looked.findings[0].message == (
        "100.0% of real and 0.0% of generated images are JPG; "
        "scale and save all classes alike: one size, one format, one quality"
    )


def test_sizes_of_their_own_tell_all_classes(tmp_path: Path) -> None:
    looked = audit(own_data(tmp_path, {}, {"real": 20, "a": 30, "b": 40}))
    assert looked.splits["one"].scores["image size"].accuracy == 1
    assert looked.findings[1].status == "warning" and "image size" in looked.findings[1].message


def test_scenes_in_train_and_test_are_counted_by_class(tmp_path: Path) -> None:
    dataset = own_data(tmp_path, {}, {}, scenes=4)
    videos = audit(dataset).splits["one"].videos
    assert videos == {"real": (20, 20), "a": (20, 20), "b": (0, 20)}
    assert statuses(dataset)["videos"] == "warning"


def test_osma_shares_videos_of_its_video_folders_alone(whole_tree: Tree) -> None:
    looked = audit(Osma(SETTINGS, whole_tree.root))
    known = {"split1": ["FaceSwap", "FSGAN"], "split2": ["Faceshifter", "FSGAN"], "split5": ["wav2lip", "FaceSwap"]}
    for split, classes in known.items():
        assert set(looked.splits[split].videos) == {"real", *classes}
    real = [name for name, label in whole_tree.lines["split1", "test"] if "/FF_c23_youtube/" in name]
    assert looked.splits["split1"].videos["real"] == (len(real), len(real))  # one video in all roles


def test_formats_are_counted_by_source(whole_tree: Tree) -> None:
    formats = audit(Osma(SETTINGS, whole_tree.root)).splits["split1"].formats
    lines = [name for role in ("train", "test") for name, _ in whole_tree.lines["split1", role]]
    for source, (*_, pattern) in REAL.items():
        expected = Counter(Path(name).suffix for name in lines if name.startswith(f"real/{source}/"))
        assert formats[f"real/{source}"] == expected and list(expected) == [Path(pattern).suffix]
    assert set(formats["progan_bus"]) == {".png"}


def test_check_takes_the_audit_in(whole_tree: Tree) -> None:
    checked = check(DataRequest("osma", whole_tree.root, SETTINGS), with_audit=True)
    assert checked.status == 1  # the format confound of OSMA
    content = checked.to_json()["audit"]["split1"]
    assert set(content) == {"formats", "container", "videos", "grids"}
    assert content["container"]["extension"]["chance"] == pytest.approx(1 / 15)
    assert checked.audit is not None
    assert [len(table.columns) for table in audit_tables(checked.audit)] == [6, 3, 4]


def test_files_that_are_no_images_are_told(tmp_path: Path) -> None:
    dataset = own_data(tmp_path, {}, {})
    (tmp_path / "a/test000.png").write_bytes(b"no image")
    (told,) = (finding for finding in audit(dataset).findings if finding.check == "audit")
    assert (told.status, "a/test000.png" in told.message) == ("warning", True)


def test_a_container_is_what_the_file_says(tmp_path: Path) -> None:
    noise("x", 40, 30).save(tmp_path / "x.JPEG", quality=75, subsampling=2)
    noise("x", 40, 30).save(tmp_path / "y.png")
    jpeg, png = look_at(tmp_path / "x.JPEG"), look_at(tmp_path / "y.png")
    assert jpeg[:5] == (".JPEG", "JPEG", 40, 30, "RGB") and png[:6] == (".png", "PNG", 40, 30, "RGB", ())
    assert jpeg.jpeg[2:] == (2, 0)  # 4:2:0, not progressive
    # At quality 50 libjpeg writes the example tables of the JPEG standard (ITU-T T.81, annex K) as they are.
    noise("x").save(tmp_path / "z.jpg", quality=50)
    assert look_at(tmp_path / "z.jpg").jpeg[:2] == (3688, 5505)
    (tmp_path / "empty.png").touch()
    assert look_at(tmp_path / "empty.png").format == ""


def test_blocks_of_8_leave_a_grid_and_blocks_of_4_do_not() -> None:
    values = np.random.default_rng(0).normal(size=(64, 64))
    smooth = np.ones((64, 64)) + values * 0.01
    assert abs(grid_strength(smooth)) < 0.2
    assert grid_strength(smooth + np.kron(values[:8, :8], np.ones((8, 8)))) > 10
    assert abs(grid_strength(smooth + np.kron(values[:16, :16], np.ones((4, 4))))) < 0.5
    assert grid_strength(np.ones((5, 5))) == 0


def test_a_png_that_was_a_jpeg_keeps_the_grid(tmp_path: Path) -> None:
    slope = np.add.outer(np.arange(64.0), np.arange(64.0)) + np.random.default_rng(0).normal(size=(64, 64)) * 8
    picture = Image.fromarray(slope.clip(0, 255).astype(np.uint8))
    picture.save(tmp_path / "never.png")
    picture.save(tmp_path / "once.jpg", quality=20)
    with Image.open(tmp_path / "once.jpg") as image:
        image.save(tmp_path / "once.png")
    assert look_at(tmp_path / "once.png").grid > look_at(tmp_path / "never.png").grid + 0.5


def test_images_beside_each_other_are_no_video() -> None:
    flat = Listing(["a/0.png", "a/1.png"], np.array([0, 0]), ("a",), ["a", "a"])
    assert shared_units(flat, flat, None) == {}
    deep = Listing(["v/a/x/0.png", "v/a/y/1.png"], np.array([0, 0]), ("a",), ["a", "a"])
    assert shared_units(deep.take(np.array([0])), deep, None) == {"a": (1, 2)}
    assert shared_units(deep, deep, ["v/b"]) == {}
    assert shared_units(deep.take(np.array([0])), deep, ["v/a"]) == {"a": (1, 2)}
