"""The small run that is attacked, and what it must look like afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import pytest

from benchmark.cells.path import CELL
from benchmark.commands import run, run_all
from benchmark.evaluation.predictions import Predictions
from tests.benchmark.toy import Toy, ToyRequest, stub_plugins
from tests.stress._process import Child, start

METHODS = "nearest,nearest@steady,follower"
CELLS = 6
Snapshot = dict[Path, dict[Path, bytes]]  # files of every finished cell


@dataclass
class Place:
    """A folder for one run, with what it leaves there."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def words(self, jobs: int = 1) -> list[str]:
        places = ["--results", str(self.results), "--leaderboards", str(self.folder / "boards")]
        return ["--methods", METHODS, "--preset", "smoke", "--jobs", str(jobs), *places]

    def start(self, prepare: Callable[[], None] = lambda: None, jobs: int = 1, on_terminal: bool = False) -> Child:
        """Start the run.

        Args:
            prepare: is called in its process, as the last thing before it begins.
        """
        return start(partial(_work, prepare, self.words(jobs)), self.folder / "log", on_terminal)

    def finished(self) -> Snapshot:
        """What the finished cells hold, by folder, those that were set aside among them."""
        cells = [path.parent for path in self.results.rglob(CELL) if ".running" not in path.parts]
        return {cell: _content(cell) for cell in cells if json.loads((cell / CELL).read_text())["status"] == "done"}

    def is_complete(self) -> bool:
        """Whether the run had come to its end: the board is the last that it writes."""
        return (self.folder / "boards" / "toy-smoke" / "README.md").exists()

    def answers(self) -> dict[Path, bytes]:
        """The predictions of every cell, by place."""
        found = self.results.rglob(Predictions.FILE)
        return {path.relative_to(self.results): path.read_bytes() for path in found}

    def leftovers(self) -> list[str]:
        """Half-written files and folders, marks of cells at work, and old cells whose place was not taken."""
        paths = [path for path in self.folder.rglob("*") if path.name.endswith((".partial", ".replaced"))]
        paths += (self.results / ".running").rglob("started")
        paths += [path for path in self.results.rglob("*.old*") if not path.with_suffix("").exists()]
        return [str(path.relative_to(self.folder)) for path in paths]

    def faults_of_next_run(self, before: Snapshot, expected: dict[Path, bytes]) -> list[str]:
        """What is wrong after the same command has run to its end: it must finish all and lose nothing."""
        child = self.start()
        status, _ = child.wait()
        faults = [] if status == 0 else [f"the next run ended with {status}: {child.output()[-300:]}"]
        after = self.finished()
        held = {tuple(files.items()) for files in after.values()}
        faults += [f"{cell.name} was lost" for cell, files in before.items() if tuple(files.items()) not in held]
        answers = self.answers()
        faults += [f"{path} has other answers" for path, data in expected.items() if answers.get(path) != data]
        return faults + [f"left behind: {path}" for path in self.leftovers()]


def _content(cell: Path) -> dict[Path, bytes]:
    return {path.relative_to(cell): path.read_bytes() for path in sorted(cell.rglob("*")) if path.is_file()}


def _work(prepare: Callable[[], None], words: list[str]) -> int:
    import sys

    sys.argv[1:] = words
    prepare()
    return run_all.console_main()


@contextmanager
def toy() -> Iterator[None]:
    """The command line runs on toy data and the plugins of the tests while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        stub_plugins(patch)
        patch.setattr(run, "DataRequest", ToyRequest)
        yield


def moved_on() -> None:
    """From now on in this process the data are others, so that finished cells have to make room."""
    Toy.fingerprint = property(lambda self: "data of tomorrow")  # type: ignore[method-assign, assignment]


@contextmanager
def new_place() -> Iterator[Place]:
    """A new folder, which goes when the block ends; a copied process must not end the block, nor does it."""
    folder = Path(mkdtemp(prefix="stress-"))
    yield Place(folder)
    shutil.rmtree(folder)


def reference() -> tuple[dict[Path, bytes], float]:
    """The answers of a run that nobody disturbs, and its seconds."""
    with new_place() as place:
        child = place.start()
        status, seconds = child.wait()
        assert status == 0, child.output()
        assert len(place.finished()) == CELLS
        return place.answers(), seconds
