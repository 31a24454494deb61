"""Results of a stranger: a stored cell with something exchanged in it, and command lines that nobody would write."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from hypothesis import strategies as st
from safetensors import SafetensorError

from benchmark.cells.files import EVALUATION, write_json
from benchmark.cells.path import CELL
from benchmark.cells.record import read_record, write_record
from benchmark.commands.main import main as over_cells
from benchmark.commands.run_all import main as run_all
from benchmark.evaluation.cell import evaluate_cell, load_answers, stored_evaluation
from benchmark.evaluation.verify import verify_cell
from benchmark.running.fitting import MODEL
from datasets.commands.main import main as over_data
from datasets.errors import UserError
from methods.core.state import load_tree, save_tree
from tests.benchmark.rows import DATA, predictions, row_cell, row_record
from tests.stress._malformed_lists import damage

WEIGHTS = f"{MODEL}/model.safetensors"
FILES = (CELL, EVALUATION, "predictions.npz", WEIGHTS, "history.csv")

Change = tuple[str, str, Any]  # file, what is done to it, and with what


@cache
def whole_cell() -> Path:
    """A finished cell with all kinds of files, made once."""
    root = Path(mkdtemp(prefix="osma-malformed-"))
    folder = root / "toy" / "smoke" / "nearest" / "split1-seed0"
    (folder / MODEL).mkdir(parents=True)
    save_tree(folder / WEIGHTS, {"means": np.arange(6.0)})
    (folder / "history.csv").write_text("epoch,val_accuracy\n0,0.5\n")
    predictions().save(folder)
    write_json(folder / EVALUATION, evaluate_cell(folder, DATA))
    write_record(folder, row_record(row_cell("nearest")))
    return folder


def cells() -> st.SearchStrategy[Change]:
    """One change of one file."""
    odd = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.just(10**30), st.floats(), st.text(max_size=5),
                  st.sampled_from(["../../x", "a" * 300, "mini", "\0"])),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=5,
    )  # fmt: skip
    places = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4)
    files = st.sampled_from(FILES)
    return st.one_of(
        st.tuples(files, st.just("bytes"), st.tuples(places, st.floats(0, 1))),
        st.tuples(st.sampled_from([CELL, EVALUATION]), st.just("entry"), st.tuples(st.integers(0, 999), odd)),
        st.tuples(st.sampled_from([CELL, EVALUATION]), st.just("deep"), st.integers(1, 5000)),
        st.tuples(files, st.sampled_from(["pipe", "link", "folder", "gone", "empty", "pickle"]), st.none()),
        st.tuples(st.just("predictions.npz"), st.just("array"), st.tuples(st.integers(0, 5), _arrays())),
    )


def _arrays() -> st.SearchStrategy[Any]:
    kinds = st.sampled_from([np.int8, np.int64, np.float64, np.float32, np.bool_, np.uint8, np.complex64, "U3", "S3"])
    shapes = st.sampled_from([(), (0,), (2,), (10,), (10, 2), (11,)])
    fills = st.sampled_from([0, 1, 7, 100])
    return st.builds(lambda kind, shape, fill: np.full(shape, fill).astype(kind), kinds, shapes, fills)


def verify_and_load(folder: Path, change: Change) -> None:
    """Every fault is one line; what is stored again and read by the program is refused in one line or used."""
    cell = folder / "toy" / "smoke" / "nearest" / "split1-seed0"
    shutil.rmtree(folder / "toy", ignore_errors=True)
    shutil.copytree(whole_cell(), cell)
    name, how, value = change
    changed = _CHANGES[how](cell / name, value)
    faults = verify_cell(cell)
    for fault in faults:
        if "\n" in fault:
            raise AssertionError(f"a fault of several lines: {fault!r}")
    if changed and not faults:
        raise AssertionError("the change was overlooked")
    record = read_record(cell)
    stored_evaluation(cell)
    if record is not None and record.status == "done":
        load_answers(cell)
        evaluate_cell(cell, record.facts)
    try:
        load_tree(cell / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:  # what Method.load makes a line of
        raise UserError(str(error).splitlines()[0]) from None


# Each makes one change and says whether `verify` has to find it.


def _bytes(path: Path, value: tuple[list[tuple[float, int]], float]) -> bool:
    before = path.read_bytes()
    after = damage(before, *value)
    path.write_bytes(after)
    return before != after and path.suffix != ".json"  # blanks in JSON are of no account


def _entry(path: Path, value: tuple[int, Any]) -> bool:
    content = json.loads(path.read_text())
    places = list(_places(content))
    holder, key = places[value[0] % len(places)]
    differs = bool(holder[key] != value[1])
    holder[key] = value[1]
    path.write_text(json.dumps(content))
    return differs and path.name == CELL


def _places(value: Any) -> Any:
    """Every place of a nested value that could be assigned to."""
    for key, entry in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
        yield value, key
        if isinstance(entry, (dict, list)):
            yield from _places(entry)


def _deep(path: Path, depth: int) -> bool:
    path.write_text("[" * depth + "]" * depth)
    return True


def _array(path: Path, value: tuple[int, Any]) -> bool:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays[sorted(arrays)[value[0]]] = value[1]
    np.savez_compressed(path, **arrays)
    return True


def _other(make: Callable[[Path], object]) -> Callable[[Path, Any], bool]:
    def change(path: Path, value: Any) -> bool:
        path.unlink()
        make(path)
        return True

    return change


def _pickle(path: Path) -> None:
    """What a pickle begins with; loading it would print."""
    path.write_bytes(b"cbuiltins\nprint\n(Vloaded\ntR.")


_CHANGES: dict[str, Callable[[Path, Any], bool]] = {
    "bytes": _bytes,
    "entry": _entry,
    "deep": _deep,
    "array": _array,
    "pipe": _other(os.mkfifo),
    "link": _other(lambda path: path.symlink_to("/etc/hostname")),
    "folder": _other(Path.mkdir),
    "gone": _other(lambda path: None),
    "empty": _other(Path.touch),
    "pickle": _other(_pickle),
}


# -- command lines -----------------------------------------------------------------------------------

_OPTIONS = {
    "run_all": ["--methods", "--splits", "--seeds", "--dataset", "--data-root", "--preset", "--set", "--variant",
                "--ablation", "--device", "--jobs", "--checkpoint", "--results", "--leaderboards"],
    "verify": ["--results", "--leaderboards"],
    "evaluate": ["--results", "--leaderboards"],
    "submit": ["--methods", "--leaderboards"],
    "cluster": ["--k", "--pool", "--normalisation", "--seeds", "--n-init", "--jobs", "--methods"],
    "predict": ["--method", "--dataset", "--preset", "--split", "--seed", "--images", "--out", "--device"],
    "figures": ["--out", "--leaderboards"],
    "agreement": ["--board", "--published"],
    "similarity": ["--methods", "--splits", "--dataset", "--preset", "--class", "--out"],
    "new-method": ["--folder"],
    "info": ["--dataset", "--data-root", "--image-size", "--train-per-class"],
    "check": ["--dataset", "--data-root"],
}  # fmt: skip
_DATA = ("info", "check")


def command_lines() -> st.SearchStrategy[list[str]]:
    """A command, options of it, and values that are odd or right; nothing of it computes anything."""
    value = st.one_of(
        st.sampled_from(
            ["", "0", "-1", "0-2", "0-99999999999", "9" * 5000, "1\n", "x" * 300, "a/../b", "..", "/dev/null", "FILE",
             "base", "base@", "base@ce", "@", "base.width=8", "base.width='8'", "base.width=&a [*a]", "data.x=1",
             "run.threads='8'", "base.width=" + "[" * 3000, "base.width=" + "9" * 5000, "smoke", "paper", "mini", "all",
             "true", "none", "cpu", "cuda:99", "auto", "split1", "calibration", "FILE.yaml", "own.yaml", "é", "\udcff",
             "*", "~nobody/x", "seed"]
        ),
        st.text(max_size=8),
        st.integers(-(10**12), 10**12).map(str),
    )  # fmt: skip
    return st.sampled_from(sorted(_OPTIONS)).flatmap(
        lambda command: st.lists(st.tuples(st.sampled_from(_OPTIONS[command]), value), max_size=4).map(
            lambda pairs: [command, *(word for pair in pairs for word in pair)]
        )
    )


def call(folder: Path, words: list[str]) -> None:
    """Run a command in an empty folder; a plan is made and never run."""
    (folder / "FILE").touch()
    command, *rest = words
    before = Path.cwd()
    os.chdir(folder)
    places = ["--results", str(folder / "r"), "--leaderboards", str(folder / "b")]
    try:
        with redirect_stdout(io.StringIO()):
            if command == "run_all":
                run_all(["--plan", *places, *rest])
            elif command in _DATA:
                over_data([command, *rest])
            elif command == "new-method":
                over_cells([command, "Pose", *rest])  # a name that is refused, whatever else is said
            else:
                over_cells([command, *places, *rest])
    except SystemExit as end:
        if end.code:
            raise AssertionError(f"exit status {end.code}") from None
    finally:
        os.chdir(before)
