"""What an audit found is kept with the pixels that it was found in, and said in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.checks.audit import audit
from datasets.checks.confounds import verdict as verdicts
from datasets.checks.confounds.verdict import Verdict, keep_verdict, verdict_for, verdict_line
from datasets.checks.findings import Finding
from datasets.folder.dataset import Folder
from datasets.settings import DataSettings
from tests.datasets.own_images import DESCRIPTION

pytestmark = pytest.mark.usefixtures("own_cache")


def opened(home: Path) -> Folder:
    return Folder(home / "own.yaml", DataSettings(image_size=16))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "own.yaml").write_text(DESCRIPTION)
    for role in ("train", "val", "test"):
        for name in ("real", "first", "second"):
            folder = tmp_path / "images" / role / name
            folder.mkdir(parents=True)
            for index in range(3):
                Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return tmp_path


def copy_into_test(home: Path) -> None:
    shutil.copy(home / "images/train/first/0.png", home / "images/test/first/0.png")


def test_data_in_order_have_no_line(home: Path) -> None:
    assert verdict_for(opened(home)) == Verdict((), whole=False)
    assert verdict_line(Verdict((), whole=False)) == ""


def test_a_confound_is_one_line_with_the_command_that_says_more(home: Path) -> None:
    copy_into_test(home)
    line = verdict_line(verdict_for(opened(home)))
    assert line.startswith(
        "the audit found confounds: only: duplicates: 1 images stand in several roles or classes (1 byte for byte): "
        "first train = first test 1"
    )
    assert "\n" not in line
    assert line.endswith("; see python -m datasets check --audit, which looks at the files too")


def test_a_verdict_is_kept_until_pixels_change(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = verdict_for(opened(home))
    with monkeypatch.context() as patch:
        patch.setattr(verdicts, "pixel_audit", None)  # would fail if it were called
        assert verdict_for(opened(home)) == first
    copy_into_test(home)
    assert len(verdict_for(opened(home)).findings) == 1


def test_the_verdict_of_a_whole_audit_takes_the_place_of_the_smaller_one(home: Path) -> None:
    copy_into_test(home)
    assert not verdict_for(opened(home)).whole
    looked = audit(opened(home))
    kept = verdict_for(opened(home))
    assert kept.whole
    assert kept.findings == tuple(finding for finding in looked.findings if finding.status == "warning")
    assert verdict_line(kept).endswith("see python -m datasets check --audit")


def test_more_findings_are_counted(home: Path) -> None:
    findings = (Finding("x", "one", "warning", "w"), Finding("x", "two", "warning", "w"), Finding("y", "one", "ok", ""))
    other = Finding("z", "one", "warning", "v")
    kept = keep_verdict(opened(home), (*findings, other), whole=True)
    assert verdict_line(kept).startswith("the audit found confounds: one, two: x: w (and 1 more); ")


def test_a_damaged_verdict_is_made_again(home: Path, own_cache: Path) -> None:
    first = verdict_for(opened(home))
    next(own_cache.glob("audit*.json")).write_text("[")
    assert verdict_for(opened(home)) == first


def test_images_of_one_colour_and_slivers_are_confounds(home: Path) -> None:
    Image.new("RGB", (5000, 1)).save(home / "images/train/real/line.png")
    line = verdict_line(verdict_for(opened(home)))
    assert "constant images: 1 of 10 of real" in line
