"""Decoding ahead of time: what is said before, what is left for a second run, what becomes of broken files."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from datasets.commands.prepare import prepare
from datasets.errors import UserError
from datasets.mini.dataset import Mini
from datasets.osma.dataset import Osma
from datasets.pixels.cache import ENVIRONMENT
from datasets.pixels.store import Report
from datasets.settings import DataSettings
from tests.datasets.osma_tree import Tree

SETTINGS = DataSettings(image_size=16)

pytestmark = pytest.mark.usefixtures("own_cache")


def used(tree: Tree, *splits: str) -> set[str]:
    return {
        name for (split, role), lines in tree.lines.items() if split in splits and role != "out" for name, _ in lines
    }


def prepared(tree: Tree, splits: list[str], unreadable: str = "refuse") -> Report:
    report = prepare(Osma(SETTINGS, tree.root), splits, unreadable)  # type: ignore[arg-type]
    assert report is not None
    return report


def test_size_is_said_first_and_a_second_run_decodes_what_is_new(
    whole_tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    one, both = used(whole_tree, "split1"), used(whole_tree, "split1", "split2")
    assert prepared(whole_tree, ["split1"]).decoded == len(one)
    lines = capsys.readouterr().out.splitlines()
    size = len(one) * 16 * 16 * 3 / 1024
    assert lines[0].startswith(f"{len(one)} images take {size:.1f} KiB in ")
    assert lines[1] == f"{len(one)} images ready: {len(one)} decoded now, 0 before"
    report = prepared(whole_tree, ["split1", "split2"])
    assert (report.images, report.decoded) == (len(both), len(both - one))
    assert prepared(whole_tree, ["split1", "split2"]).decoded == 0


def test_too_small_a_disk_stops_before_anything_is_decoded(
    whole_tree: Tree, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=f"10 bytes free; free space, set {ENVIRONMENT}"):
        prepared(whole_tree, ["split1"])
    assert not list(own_cache.iterdir())


def test_unreadable_images_are_refused_with_a_list_or_left_out_and_listed(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = sorted(name for name in used(tree, "split1") if name.startswith("real/bus/"))[0]
    (tree.root / "OSMA" / broken).write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of .* cannot be read.*--unreadable skip"):
        prepared(tree, ["split1"])
    capsys.readouterr()
    report = prepared(tree, ["split1"], "skip")
    assert report.skipped == {broken: "the file is empty"}
    assert f"  {broken}: the file is empty" in capsys.readouterr().out.splitlines()
    assert broken not in Osma(SETTINGS, tree.root).split("split1").train.ids


def test_odd_files_are_counted(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    odd = sorted(name for name in used(tree, "split1") if name.startswith("fake/ProGAN/bus/"))[0]
    path = tree.root / "OSMA" / odd
    path.write_bytes(path.read_bytes()[:-40])
    assert prepared(tree, ["split1"]).flagged == {"truncated": [odd]}
    assert f"truncated  1       {odd}" in capsys.readouterr().out


def test_mini_is_made_ready_too(capsys: pytest.CaptureFixture[str], own_cache: Path) -> None:
    sizes = DataSettings(image_size=32, train_per_class=1, val_per_class=1, test_per_class=1)
    assert prepare(Mini(sizes), ["split1"]) is None
    assert "split1 ready" in capsys.readouterr().out
    assert list(own_cache.glob("mini-*.npy"))
