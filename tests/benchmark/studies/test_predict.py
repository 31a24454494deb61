"""`python -m benchmark predict`: what a fitted cell says about image files."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from benchmark.cells.path import CellPath
from benchmark.cells.record import read_record
from benchmark.cells.store import Store
from benchmark.commands.main import main
from benchmark.commands.options import parser as run_all_options
from benchmark.evaluation.evaluator import ACCEPTED
from benchmark.evaluation.parts import KNOWN, VAL
from benchmark.evaluation.predictions import Predictions
from benchmark.running.execute import execute
from benchmark.running.job import Job
from benchmark.studies import predict as predict_module
from datasets.errors import UserError
from methods.core import registry as registry_module
from tests.benchmark.toy import planned, refused, toy_request


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A results folder with a fitted cell; made once."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def results(fitted, registry):
    if not any(fitted.iterdir()):
        for cell in planned(registry, "nearest", "follower", splits=("split1",)):
            outcome = execute(Job(cell, toy_request(), fitted, "cpu"))
            assert outcome.status == "done", outcome.reason
    return fitted


@pytest.fixture
def images(tmp_path):
    """The known test images as PNG files, in folders and with odd names; and what the cell stored for them."""
    folder = tmp_path / "my images"
    test = toy_request().open().split("split1").test
    for position, pixels in enumerate(test.batch(slice(None))):
        path = folder / f"{position % 3}: é" / f"{position:04d}.PNG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def call(images, out, results, *options):
    words = ["predict", "--dataset", "toy", "--preset", "smoke", "--images", str(images), "--out", str(out)]
    method = [] if "--method" in options else ["--method", "nearest"]
    return main([*words, "--results", str(results), "--device", "cpu", *method, *options])


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, dtype=str)


def stored(results, key="nearest"):
    folder = results / "toy" / "smoke" / key / "split1-seed0"
    return Predictions.load(folder), read_record(folder)


def test_image_files_get_exactly_what_the_cell_stored_for_the_same_images(images, tmp_path, results):
    predictions, record = stored(results)
    known = predictions.of(KNOWN)
    assert call(images, tmp_path / "out.csv", results) == 0
    rows = table(tmp_path / "out.csv")
    position = rows["path"].str.extract(r"(\d{4})\.PNG")[0].astype(int).to_numpy()
    assert sorted(position) == list(range(known.sum()))
    assert list(rows["class"]) == [record.data.known[k] for k in predictions.predicted[known][position]]
    assert list(rows["confidence"].astype(float)) == list(predictions.confidence[known][position])
    assert set(rows["reason"]) == {""}


def test_known_is_what_lies_at_or_above_the_threshold_that_accepts_95_per_cent_of_validation(images, tmp_path, results):
    predictions, _ = stored(results)
    val = np.sort(predictions.confidence[predictions.of(VAL)])
    threshold = val[len(val) - int(np.ceil(ACCEPTED * len(val)))]  # as many lie at or above it
    call(images, tmp_path / "out.csv", results)
    rows = table(tmp_path / "out.csv")
    expected = rows["confidence"].astype(float) >= threshold
    assert 0 < expected.sum() < len(expected)
    assert list(rows["known"]) == [str(flag).lower() for flag in expected]


def test_a_method_that_needs_another_one_finds_it(images, tmp_path, results):
    call(images, tmp_path / "leader.csv", results)
    call(images, tmp_path / "out.csv", results, "--method", "follower")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "leader.csv").read_bytes()


def test_blocks_change_nothing(images, tmp_path, results, monkeypatch):
    call(images, tmp_path / "whole.csv", results)
    monkeypatch.setattr(predict_module, "BLOCKS", 1)
    original = predict_module.load_attributor

    def small_batches(*words):
        found = original(*words)
        return predict_module.Attributor(found.method, found.threshold, found.threads, 5)

    monkeypatch.setattr("benchmark.commands.predict.load_attributor", small_batches)
    call(images, tmp_path / "out.csv", results)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_unreadable_files_are_listed_with_the_reason_and_the_others_judged(images, tmp_path, results, capsys):
    call(images, tmp_path / "whole.csv", results)
    (images / "empty.png").touch()
    (images / "text.jpg").write_text("no image")
    (images / "notes.txt").write_text("passed over")
    capsys.readouterr()
    assert call(images, tmp_path / "out.csv", results) == 0
    rows = table(tmp_path / "out.csv").set_index("path")
    assert list(rows.loc["empty.png"]) == ["", "", "", "the file is empty"]
    assert rows.loc["text.jpg", "reason"].startswith("not an image")
    assert "notes.txt" not in rows.index
    judged = rows[rows["reason"] == ""].reset_index()
    assert judged.to_dict() == table(tmp_path / "whole.csv").to_dict()
    said = capsys.readouterr().out
    assert "2 unreadable" in said
    assert "unreadable: empty.png: the file is empty" in said
    assert "passed over, by extension: 1 .txt" in said


def test_files_that_are_all_unreadable_still_make_a_table(tmp_path, results):
    (tmp_path / "x.png").touch()
    assert call(tmp_path, tmp_path / "out.csv", results) == 0
    assert list(table(tmp_path / "out.csv")["reason"]) == ["the file is empty"]


def test_a_file_name_that_is_no_text_does_not_stop_it(tmp_path, results):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (40, 30)).save(folder / "x.png")
    os.rename(os.fsencode(folder / "x.png"), os.fsencode(folder) + b"/\xff.png")  # noqa: PTH104 - bytes
    call(folder, tmp_path / "out.csv", results)
    assert list(table(tmp_path / "out.csv")["path"]) == ["\\udcff.png"]


def test_one_image_can_be_given_by_itself(images, tmp_path, results):
    one = min(images.rglob("*.PNG"))
    call(one, tmp_path / "out.csv", results)
    assert list(table(tmp_path / "out.csv")["path"]) == [one.name]


def test_a_table_appears_whole_or_not_at_all(images, tmp_path, results, monkeypatch):
    (tmp_path / "out.csv").write_text("older")
    before = sorted(tmp_path.iterdir())

    def fail(self, paths, decoded, root):
        yield ("first.png", "real", 1.0, True, "")
        raise KeyboardInterrupt

    monkeypatch.setattr(predict_module.Attributor, "_judged", fail)
    with pytest.raises(KeyboardInterrupt):
        call(images, tmp_path / "out.csv", results)
    assert (tmp_path / "out.csv").read_text() == "older"
    assert sorted(tmp_path.iterdir()) == before


def test_a_network_gives_exactly_what_its_cell_stored(images, tmp_path, monkeypatch):
    monkeypatch.setattr(registry_module, "METHODS_FOLDER", Path(registry_module.__file__).parents[1])
    monkeypatch.setenv(registry_module.FOLDERS_VARIABLE, "")
    cell = planned(registry_module.load_registry(), "base", splits=("split1",))[0]
    outcome = execute(Job(cell, toy_request(), tmp_path / "results", "cpu"))
    assert outcome.status == "done", outcome.reason
    call(images, tmp_path / "out.csv", tmp_path / "results", "--method", "base")
    rows = table(tmp_path / "out.csv")
    predictions, record = stored(tmp_path / "results", "base")
    known = predictions.of(KNOWN)
    position = rows["path"].str.extract(r"(\d{4})\.PNG")[0].astype(int).to_numpy()
    assert list(rows["class"]) == [record.data.known[k] for k in predictions.predicted[known][position]]
    assert list(rows["confidence"].astype(float)) == list(predictions.confidence[known][position])


@pytest.mark.parametrize(("images_given", "expected"), [(1, 32), (31, 32), (32, 32), (64, 64), (65, 96), (100, 100)])
def test_no_forward_pass_has_only_a_few_images(tmp_path, results, registry, images_given, expected, monkeypatch):
    asked, predict = [], registry["nearest"].predict
    monkeypatch.setattr(
        registry["nearest"], "predict", lambda self, images: asked.append(len(images)) or predict(self, images)
    )
    name = CellPath("toy", "smoke", "nearest", "split1", 0)
    found = predict_module.load_attributor(name, results, "cpu", registry, "toy")
    paths = [tmp_path / f"{position:03d}.png" for position in range(images_given)]
    for position, path in enumerate(paths):
        Image.new("RGB", (32, 32), (position, 0, 0)).save(path)
    rows = list(predict_module.Attributor(found.method, found.threshold, 1, 64).rows(paths, tmp_path))
    assert [row[0] for row in rows] == [path.name for path in paths]
    assert len({row[2] for row in rows}) == images_given
    assert asked == [expected]


# -- mistakes ----------------------------------------------------------------------------------------


def test_a_cell_that_is_missing_is_one_line_with_the_command_that_makes_it(images, tmp_path, results):
    with pytest.raises(UserError, match="there is no cell") as caught:
        call(images, tmp_path / "out.csv", results, "--split", "2", "--seed", "3")
    message = str(caught.value)
    assert "\n" not in message
    options = run_all_options().parse_args(shlex.split(message.partition("run_all.py ")[2]))
    assert (options.methods, options.dataset, options.preset) == ("nearest", "toy", "smoke")
    assert (options.splits, options.seeds) == ("split2", "3")


def test_a_failed_cell_says_why(images, tmp_path, registry):
    cell = planned(registry, "nearest@raising", splits=("split1",))[0]
    results = tmp_path / "results"
    assert execute(Job(cell, toy_request(), results, "cpu")).status == "failed"
    with refused("is failed (ValueError: no [rings] please"):
        call(images, tmp_path / "out.csv", results, "--method", "nearest@raising")


def test_a_cell_without_its_model_is_refused(images, tmp_path, results, registry):
    cell = planned(registry, "nearest", splits=("split1",))[0]
    shutil.copytree(results, tmp_path / "results")
    shutil.rmtree(Store(tmp_path / "results").folder(cell) / "model")
    with refused("has lost its model"):
        call(images, tmp_path / "out.csv", tmp_path / "results")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"\xff" * 20),
        ("model.safetensors", b""),
        ("model.safetensors", None),
        ("method.json", b"{"),
        ("method.json", b"{}"),
        ("method.json", None),
    ],
)
def test_a_damaged_model_is_one_line_with_the_command_that_makes_it(images, tmp_path, results, file, content):
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    path = copy / "toy" / "smoke" / "nearest" / "split1-seed0" / "model" / file
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be loaded \(.+\); make it again: ") as caught:
        call(images, tmp_path / "out.csv", copy)
    assert "\n" not in str(caught.value)
    options = run_all_options().parse_args(shlex.split(str(caught.value).partition("run_all.py ")[2]))
    assert (options.methods, options.preset, options.force) == ("nearest", "smoke", True)
    assert not list(tmp_path.glob("*.csv*"))


def test_weights_for_images_of_another_size_are_refused(images, tmp_path, monkeypatch):
    monkeypatch.setattr(registry_module, "METHODS_FOLDER", Path(registry_module.__file__).parents[1])
    monkeypatch.setenv(registry_module.FOLDERS_VARIABLE, "")
    changes = {"run": {"max_steps": 1}}
    cell = planned(registry_module.load_registry(), "base", splits=("split1",), overrides=changes, variant="one")[0]
    assert execute(Job(cell, toy_request(), tmp_path / "results", "cpu")).status == "done"
    facts = Store(tmp_path / "results").folder(cell) / "model" / "method.json"
    facts.write_text(facts.read_text().replace('"image_size": 32', '"image_size": 64'))
    with refused("is of another network: its 'fc.weight' is"):
        call(images, tmp_path / "out.csv", tmp_path / "results", "--method", "base", "--preset", cell.preset)


@pytest.mark.parametrize("size", [(64, 64), (32, 32), (20, 30), (400, 31)])
def test_images_of_any_size_are_judged_at_the_size_of_the_model(tmp_path, results, size):
    Image.new("RGB", size, (200, 100, 50)).save(tmp_path / "image.png")
    Image.new("RGB", (32, 32), (200, 100, 50)).save(tmp_path / "same.png")
    assert call(tmp_path, tmp_path / "out.csv", results) == 0
    rows = table(tmp_path / "out.csv").drop(columns="path")
    assert rows.iloc[0].to_dict() == rows.iloc[1].to_dict() and rows["class"][0]


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("smoke~tiny", "--preset smoke --set OWNER.KEY=VALUE --variant tiny --splits"),
        ("smoke~custom-0123abcd", "--preset smoke --set OWNER.KEY=VALUE --splits"),
    ],
)
def test_a_missing_cell_of_changed_data_is_asked_for_with_its_changes(images, tmp_path, results, preset, words):
    with refused(words):
        call(images, tmp_path / "out.csv", results, "--preset", preset)
    with refused("--dataset osma --preset smoke --data-root DIR --splits split1"):
        call(images, tmp_path / "out.csv", results, "--dataset", "osma")


@pytest.mark.parametrize(
    ("method", "command"),
    [
        ("nearest@released", "--methods nearest --checkpoint nearest=DIR"),
        ("nearest@raising-released", "--methods nearest@raising --checkpoint nearest@raising=DIR"),
    ],
)
def test_a_missing_row_of_released_weights_is_asked_for_with_its_folder(images, tmp_path, results, method, command):
    with refused(command):
        call(images, tmp_path / "out.csv", results, "--method", method)


def test_a_description_of_a_users_own_data_stands_for_its_name(images, tmp_path, results):
    example = Path(predict_module.__file__).parents[2] / "datasets" / "splits" / "example.yaml"
    name = yaml.safe_load(example.read_text())["name"]
    with refused(f"there is no cell {results / name}"):
        call(images, tmp_path / "out.csv", results, "--dataset", str(example))


def test_an_unknown_method_is_refused_with_a_suggestion(images, tmp_path, results):
    with refused("did you mean 'nearest'?"):
        call(images, tmp_path / "out.csv", results, "--method", "nearst")


def test_a_folder_without_images_is_refused(tmp_path, results):
    with refused("holds no images"):
        call(tmp_path, tmp_path / "out.csv", results)
    with refused("no such file or folder"):
        call(tmp_path / "absent", tmp_path / "out.csv", results)


def test_a_place_that_cannot_be_written_is_refused(images, tmp_path, results):
    with refused("is a folder"):
        call(images, tmp_path, results)
    (tmp_path / "file").touch()
    with refused("choose another --out"):
        call(images, tmp_path / "file" / "out.csv", results)


def test_what_is_passed_over_is_counted_by_reason(tmp_path):
    for name in ("1.png", "2.JFIF", "._1.png", "3.heic", "__MACOSX/1.png", ".hidden/4.png", "below/5.jpg"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    found, passed = predict_module.find_images(tmp_path / "images")
    assert [path.relative_to(tmp_path / "images").as_posix() for path in found] == ["1.png", "2.JFIF", "below/5.jpg"]
    assert passed == {"hidden": 2, "extension .heic": 1, "__MACOSX": 1}


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").touch()
    with refused(r"are read; passed over by extension: 1 .txt)"):
        predict_module.find_images(tmp_path)
