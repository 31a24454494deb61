"""Results on disk: whole or not at all, never changed, and readable for ever."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from benchmark.cells.arrays import read_arrays
from benchmark.cells.files import plain, write_arrays, write_json
from benchmark.cells.path import CELL, cell_folders
from benchmark.cells.record import Cost, Record, read_record, write_record
from benchmark.cells.store import Store, records_below
from benchmark.evaluation.predictions import Predictions
from tests.benchmark.rows import DATA
from tests.benchmark.toy import planned, refused


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may catch it."""


def record_of(cell, status="done", **facts):
    return Record(cell, cell.hash, status, "osr", "Title", "Paper", **facts)


def fill(folder, cell, value=0.0):
    write_arrays(folder / Predictions.FILE, {"confidence": np.full(3, value)})
    (folder / "model").mkdir()
    (folder / "model" / "weights").write_bytes(b"\1\2\3")
    write_record(folder, record_of(cell))


def write(store, cell, value=0.0):
    with store.writing(cell) as folder:
        fill(folder, cell, value)


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def cell(registry):
    return planned(registry, "nearest", splits=("split1",))[0]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "a place with spaces")


def test_a_written_cell_is_done_and_has_what_was_put_in(store, cell):
    assert store.status(cell) is None
    write(store, cell)
    assert store.done(cell)
    assert set(content(store.folder(cell))) == {CELL, Predictions.FILE, "model/weights"}
    record = read_record(store.folder(cell))
    assert record is not None
    assert (record.cell, record.hash, record.status) == (cell, cell.hash, "done")


def test_an_exception_while_writing_leaves_no_cell_and_the_next_attempt_starts_clean(store, cell):
    def half():
        with store.writing(cell) as folder:
            (folder / "half").write_text("half")
            raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        half()
    assert not store.folder(cell).exists()
    assert list(cell_folders(store.root / "toy" / "smoke")) == []
    write(store, cell)
    assert "half" not in content(store.folder(cell))


STEPS = [(os, "fsync"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"), (shutil, "rmtree")]


def killed_at(step, monkeypatch):
    """Let the process be killed at the given call, counted from 0, of what touches the disk."""
    calls = count()

    def dying(function):
        def call(*arguments, **options):
            if next(calls) == step:
                raise Killed
            return function(*arguments, **options)

        return call

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))


def test_a_kill_at_any_step_leaves_the_whole_cell_or_none(tmp_path, cell):
    reference = Store(tmp_path / "reference")
    write(reference, cell)
    whole = content(reference.folder(cell))
    outcomes = []
    for step in count():
        store = Store(tmp_path / str(step))
        with pytest.MonkeyPatch.context() as patch:
            killed_at(step, patch)
            try:
                write(store, cell)
            except Killed:
                outcomes.append(store.done(cell))
            else:
                break
        assert content(store.folder(cell)) == (whole if store.done(cell) else {})
        write(store, cell)
        assert content(store.folder(cell)) == whole
    assert len(outcomes) > 8
    assert outcomes == sorted(outcomes)  # none until some step, whole from then on
    assert set(outcomes) == {True, False}


def test_a_kill_at_any_step_of_a_replacement_keeps_what_was_there(tmp_path, cell):
    first = Store(tmp_path / "first")
    write(first, cell)
    old = content(first.folder(cell))
    for step in count():
        store = Store(tmp_path / str(step))
        write(store, cell)
        with pytest.MonkeyPatch.context() as patch:
            killed_at(step, patch)
            try:
                write(store, cell, value=1.0)
            except Killed:
                pass
            else:
                break
        kept = [content(path) for path in store.folder(cell).parent.iterdir()]
        assert old in kept
    assert step > 8


PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from benchmark.cells.cell import Cell
from benchmark.cells.record import Record, write_record
from benchmark.cells.store import Store
cell = Cell(**json.loads(sys.argv[2]))
with Store(Path(sys.argv[1])).writing(cell) as folder:
    write_record(folder, Record(cell, cell.hash, "done", "osr", "Title", "Paper"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill")
def test_a_process_killed_after_writing_the_record_but_before_the_end_leaves_no_cell(store, cell):
    words = [sys.executable, "-c", PROGRAM, str(store.root), json.dumps(asdict(cell))]
    done = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert store.status(cell) is None
    assert not store.folder(cell).exists()
    assert list(store.scratch(cell).rglob(CELL)), "the process never came to the point"
    write(store, cell)
    assert store.done(cell)
    assert not store.scratch(cell).exists()


def test_a_finished_cell_is_moved_aside_and_never_overwritten(store, cell):
    for value in range(3):
        write(store, cell, value)
    names = sorted(path.name for path in store.folder(cell).parent.iterdir())
    assert names == ["split1-seed0", "split1-seed0.old0", "split1-seed0.old1"]
    values = [read_arrays(store.folder(cell).parent / name / Predictions.FILE)["confidence"][0] for name in names]
    assert values == [2, 0, 1]


def test_cells_set_aside_or_half_copied_belong_to_no_board(store, cell):
    write(store, cell)
    write(store, cell)
    method = store.folder(cell).parent
    shutil.copytree(store.folder(cell), method / ".split2-seed0.partial")
    assert [folder.name for folder, _ in records_below(method.parent)] == ["split1-seed0"]


def test_a_failed_cell_is_replaced_without_a_trace(store, cell):
    store.folder(cell).mkdir(parents=True)
    write_record(store.folder(cell), record_of(cell, "failed", reason="why"))
    assert store.status(cell) == "failed"
    write(store, cell)
    assert [path.name for path in store.folder(cell).parent.iterdir()] == ["split1-seed0"]


def test_a_cell_of_other_settings_is_not_this_cell(store, registry, cell):
    write(store, cell)
    (other,) = planned(registry, "nearest", splits=("split1",), fingerprint="other data")
    assert store.folder(other) == store.folder(cell)
    assert store.status(other) is None


def test_the_unfinished_work_of_other_settings_lies_elsewhere(store, registry, cell):
    (other,) = planned(registry, "nearest", splits=("split1",), fingerprint="other data")
    assert store.scratch(other) != store.scratch(cell)


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "7", "null", "{}", '{"schema": "x"}', "\xff", '{"schema": 1, "cell": {}}']
)
def test_a_damaged_record_is_one_clear_line(store, cell, damage):
    write(store, cell)
    path = store.folder(cell) / CELL
    path.write_bytes(damage.encode("latin-1"))
    with refused(f"{path} is damaged"):
        store.status(cell)


@pytest.mark.parametrize("key", ["cell", "hash", "status", "kind", "title"])
def test_a_record_that_lacks_something_is_damaged(store, cell, key):
    write(store, cell)
    path = store.folder(cell) / CELL
    stored = json.loads(path.read_text())
    del stored[key]
    path.write_text(json.dumps(stored))
    with refused("is damaged"):
        read_record(path.parent)


def test_a_record_of_a_newer_release_asks_for_an_update(store, cell):
    write(store, cell)
    path = store.folder(cell) / CELL
    path.write_text(json.dumps({"schema": 3, "something": "new"}))
    with refused("was written by a newer release (schema 3, this one reads up to 2); update osma-bench"):
        read_record(path.parent)


def test_a_record_comes_back_as_it_was_written_but_for_who_needed_it(tmp_path, registry):
    cell = planned(registry, "follower", splits=("split1",))[0]
    assert cell.needed_by == "follower"
    record = record_of(cell, tables=("open-set",), data=DATA, cost=Cost(parameters=3))
    write_record(tmp_path, record)
    stored = json.loads((tmp_path / CELL).read_text())
    assert "needed_by" not in stored["cell"]
    again = read_record(tmp_path)
    assert again is not None
    assert again.cell.hash == record.hash
    assert (again.tables, again.data, again.cost) == (record.tables, record.data, record.cost)


def test_what_is_not_finite_becomes_null_and_numbers_stay_numbers(tmp_path):
    values = {
        "a": float("nan"),
        "b": [np.float64(0.25), np.inf],
        "c": np.int64(3),
        4: (True, None),
        "d": np.bool_(True),
    }
    write_json(tmp_path / "x.json", values)
    assert json.loads((tmp_path / "x.json").read_text()) == {
        "a": None, "b": [0.25, None], "c": 3, "4": [True, None], "d": True,
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_json_file_is_replaced_whole_or_not_at_all(tmp_path):
    write_json(tmp_path / "x.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"value": object()})
    assert json.loads((tmp_path / "x.json").read_text()) == 1


def test_plain_values_are_left_alone():
    assert plain({"a": [1, "x", None, 0.5]}) == {"a": [1, "x", None, 0.5]}


def test_arrays_come_back_with_type_and_shape_and_objects_are_refused(tmp_path):
    arrays = {"ids": np.array(["a", "bc"]), "variant:x": np.ones((2, 3), np.float32), "part": np.array([1], np.int8)}
    write_arrays(tmp_path / "x.npz", arrays)
    again = read_arrays(tmp_path / "x.npz")
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name], array)
    with pytest.raises(TypeError, match="Python objects: odd"):
        write_arrays(tmp_path / "y.npz", {"odd": np.array([{}, None])})
    assert not (tmp_path / "y.npz").exists()
