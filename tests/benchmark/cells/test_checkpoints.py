"""Rows of released weights: asked for, planned, computed without training, shown as a variant."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from benchmark.cells.checkpoints import parse_checkpoints, released_folders, with_released
from benchmark.cells.plan import Planner, choose_methods
from benchmark.cells.presets import load_preset
from benchmark.cells.record import read_record
from benchmark.cells.store import Store
from benchmark.commands.run_all import main
from benchmark.evaluation.predictions import Predictions
from benchmark.evaluation.verify import verify_cell
from benchmark.running.execute import execute
from methods.core import registry as registry_module
from tests.benchmark.toy import PLUGINS, SIDE, ToyRequest, execution, refused, toy_request

PLUGIN = '''
"""Knows nothing but a released list of numbers: the brightness of its classes."""

import json

import numpy as np

from datasets.errors import UserError
from methods.core.method import Method, Prediction, Task
from methods.core.registry import register
from methods.core.released import TakesReleased
from methods.core.settings import Settings


class GivenConfig(Settings):
    scale: float = 1.0


@register("given")
class Given(Method, TakesReleased):
    kind, title, paper = "osr", "Given", "Nobody, 2000, https://example.org"
    Config = GivenConfig
    PRESETS = {"smoke": {"scale": 9.0}}
    VARIANTS = {"half": {"scale": 0.5}}

    @classmethod
    def released_files(cls, folder, split):
        path = folder / split / "levels.json"
        if not path.is_file():
            raise UserError(f"there are no released weights {path}; choose other --splits")
        return [path]

    def take_released(self, folder, split, task):
        self.task = task
        self.levels = np.array(json.loads((folder / split / "levels.json").read_text())) * self.config.scale
        if len(self.levels) != task.num_classes:
            raise UserError("levels.json is of another network")

    def fit(self, train, val):
        raise AssertionError("trained all the same")

    def predict(self, images):
        pixels = images.batch(slice(None)).astype(np.float64)
        scores = -abs(pixels.mean(axis=(1, 2, 3))[:, None] - self.levels)
        return Prediction(scores, scores.max(axis=1), scores.astype(np.float32))

    def state(self):
        return {"levels": self.levels}

    def restore(self, state):
        self.levels = state["levels"]
'''
LEVELS = [126.0, 127.5, 128.0, 129.5]


@pytest.fixture
def registry(tmp_path, monkeypatch):
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "given.py").write_text(PLUGIN)
    monkeypatch.setattr(registry_module, "METHODS_FOLDER", folder / "none")
    monkeypatch.setenv(registry_module.FOLDERS_VARIABLE, f"{PLUGINS}:{folder}")
    return registry_module.load_registry()


@pytest.fixture
def released(tmp_path):
    for split in ("split1", "split2"):
        (tmp_path / "released" / split).mkdir(parents=True)
        (tmp_path / "released" / split / "levels.json").write_text(json.dumps(LEVELS))
    return tmp_path / "released"


def requested(registry, *items, methods=("given",), overrides=None, variant=None):
    requests = choose_methods(registry, methods, overrides or {}, variant)
    return with_released(requests, parse_checkpoints(items))


def planned(registry, requests, splits=("split1",)):
    toy = toy_request().open()
    return Planner(registry, toy.name, toy.fingerprint, load_preset("smoke", "toy", {})).plan(requests, splits, [0])


def test_a_row_of_released_weights_has_the_published_settings_and_the_hashes_of_its_files(registry, released):
    (cell,) = planned(registry, requested(registry, f"given={released}"))
    assert cell.key == "given@released"
    assert cell.config == {"scale": 1.0}  # not 9, which is for training at this preset
    assert cell.released == {"split1/levels.json": hashlib.sha256(json.dumps(LEVELS).encode()).hexdigest()}


def test_other_files_make_another_hash_and_other_places_do_not(registry, released, tmp_path):
    (first,) = planned(registry, requested(registry, f"given={released}"))
    released.rename(tmp_path / "elsewhere")
    (second,) = planned(registry, requested(registry, f"given={tmp_path / 'elsewhere'}"))
    assert second.hash == first.hash
    (tmp_path / "elsewhere/split1/levels.json").write_text("[1]")
    (third,) = planned(registry, requested(registry, f"given={tmp_path / 'elsewhere'}"))
    assert third.hash != first.hash


def test_cells_that_are_trained_know_nothing_of_released_weights(registry, released):
    trained, given = planned(registry, requested(registry, f"given={released}", methods=("nearest", "given")))
    assert (trained.key, trained.released) == ("nearest", {})
    assert given.released


def test_variants_and_changed_settings_stay_in_the_name(registry, released):
    requests = requested(registry, f"given@half={released}", methods=("given@half", "nearest"))
    assert [request.key for request in requests] == ["given@half-released", "nearest"]
    changes = {"given": {"scale": 2.0}}
    requests = requested(registry, f"given={released}", overrides=changes, variant="double")
    assert [request.key for request in requests] == ["given@double-released"]
    assert planned(registry, requests)[0].config == {"scale": 2.0}


def test_a_cell_of_released_weights_is_scored_and_not_trained(registry, released, tmp_path):
    requests = requested(registry, f"given={released}")
    (cell,) = planned(registry, requests)
    outcome = execute(execution(tmp_path / "results", released=released_folders(requests)).job(cell))
    assert (outcome.status, outcome.reason) == ("done", None)
    store = Store(tmp_path / "results")
    record = read_record(store.folder(cell))
    assert record.cell == cell
    assert record.cost.train_seconds is None
    assert verify_cell(store.folder(cell)) == []
    predictions = Predictions.load(store.folder(cell))
    test = toy_request().open().split("split1").test
    brightness = test.batch(slice(None)).mean(axis=(1, 2, 3))
    expected = np.abs(brightness[:, None] - LEVELS)
    assert np.array_equal(predictions.predicted[predictions.part == 1], expected.argmin(axis=1))


def test_files_that_changed_after_the_plan_are_refused(registry, released, tmp_path):
    requests = requested(registry, f"given={released}")
    (cell,) = planned(registry, requests)
    (released / "split1/levels.json").write_text("[1, 2, 3, 4]")
    outcome = execute(execution(tmp_path / "results", released=released_folders(requests)).job(cell))
    assert outcome.status == "failed"
    assert "have changed since this run began" in outcome.reason


def test_weights_that_do_not_fit_fail_their_cell_in_one_line(registry, released, tmp_path):
    (released / "split1/levels.json").write_text("[1]")
    requests = requested(registry, f"given={released}")
    (cell,) = planned(registry, requests)
    outcome = execute(execution(tmp_path / "results", released=released_folders(requests)).job(cell))
    assert outcome.reason == "UserError: levels.json is of another network"


def test_the_command_makes_a_row_of_its_own_in_the_table(registry, released, tmp_path, monkeypatch):
    def toy(name, root, settings):
        return ToyRequest(name, root, settings.model_copy(update={"image_size": SIDE}))

    monkeypatch.setattr("benchmark.commands.run.DataRequest", toy)
    places = ["--results", str(tmp_path / "results"), "--leaderboards", str(tmp_path / "boards")]
    words = ["--methods", "nearest,given", "--checkpoint", f"given={released}", "--preset", "smoke", "--splits", "1-2"]
    assert main([*words, *places, "--jobs", "1", "--device", "cpu"]) == 0
    page = (tmp_path / "boards/toy-smoke/README.md").read_text()
    assert "Given (released)" in page
    assert "Nearest mean" in page


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (["given"], "write METHOD=DIR"),
        (["given="], "write METHOD=DIR"),
        (["=x"], "write METHOD=DIR"),
        (["given=/no/such/folder"], "there is no folder /no/such/folder"),
        (["given={}", "given={}"], "two folders"),
        (["follower={}"], "add it to --methods"),
        (["nearest={}"], "takes no released weights"),
    ],
)
def test_a_mistake_is_one_line(registry, released, items, text):
    with refused(text):
        requested(registry, *(item.format(released) for item in items), methods=("given", "nearest"))


def test_a_split_without_released_weights_is_one_line(registry, released):
    with refused("split3/levels.json"):
        planned(registry, requested(registry, f"given={released}"), splits=("split3",))
