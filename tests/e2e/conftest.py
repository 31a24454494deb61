"""One small run of the real command on the embedded data, made once and copied for every test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
SMOKE = ("--preset", "smoke", "--splits", "1", "--methods", "base,pose")


@dataclass(frozen=True)
class Finished:
    """How a process ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """A folder with results and boards, and the means to run commands on it."""

    folder: Path
    cache: Path

    @property
    def results(self) -> Path:
        return self.folder / "my results"

    @property
    def boards(self) -> Path:
        return self.folder / "my boards"

    def run_all(self, *words: str) -> Finished:
        """`python run_all.py` with relative paths, started from this folder."""
        return self._run(self.folder, str(ROOT / "run_all.py"), "--results", "my results",
                         "--leaderboards", "my boards", *words)  # fmt: skip

    def benchmark(self, *words: str) -> Finished:
        """`python -m benchmark`, started from the checkout."""
        paths = ("--results", str(self.results), "--leaderboards", str(self.boards))
        return self._run(ROOT, "-m", "benchmark", *words, *paths)

    def datasets(self, *words: str) -> Finished:
        """`python -m datasets`, started from the checkout."""
        return self._run(ROOT, "-m", "datasets", *words)

    def _run(self, folder: Path, *words: str) -> Finished:
        environment = {**os.environ, "OSMA_BENCH_CACHE": str(self.cache)}
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Finished]:
    """The run, shared by all test processes of this session, and how it ended."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    place = Place(shared / "finished run", shared / "image cache")
    with FileLock(shared / "finished run.lock"):
        if not place.folder.exists():
            place.folder.mkdir()
            done = place.run_all(*SMOKE)
            for name, text in (("status", str(done.status)), ("out", done.out), ("err", done.err)):
                (place.folder / name).write_text(text, encoding="utf-8")
    out, err = ((place.folder / name).read_text(encoding="utf-8") for name in ("out", "err"))
    return place, Finished(int((place.folder / "status").read_text()), out, err)


@pytest.fixture
def place(first_run: tuple[Place, Finished], tmp_path: Path) -> Place:
    """A copy of the finished run that a test may change."""
    origin, _ = first_run
    copy = Place(tmp_path / "copy", origin.cache)
    shutil.copytree(origin.folder, copy.folder)
    return copy
