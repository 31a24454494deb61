"""What is left when a run is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.cells.path import CELL
from tests.benchmark.toy import planned

ROOT = Path(__file__).parents[3]
PATIENCE = 240  # seconds; a slow machine needs a while to start workers

pytestmark = pytest.mark.skipif(os.name != "posix", reason="other systems have other signals")


def wait_until(met, process):
    end = time.monotonic() + PATIENCE
    while not met():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the run did not get as far as expected"
        time.sleep(0.05)


def heed_control_c():
    """A process whose parent ignores SIGINT (nohup, a script's background job) ignores it, too; this one must not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore_control_c():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def interrupted(tmp_path, number, jobs, send, before=heed_control_c):
    """Run a method that finishes split 1 and sleeps on split 2, then send a signal; status and standard error."""
    words = ["--methods", "nearest@sleepy", "--preset", "smoke", "--jobs", str(jobs)]
    places = ["--results", str(tmp_path / "results"), "--leaderboards", str(tmp_path / "boards")]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmark.toy_run_all", *words, *places],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=before,
    )  # fmt: skip
    cells = tmp_path / "results" / "toy" / "smoke" / "nearest@sleepy"
    running = tmp_path / "results" / ".running"
    try:
        wait_until(lambda: (cells / "split1-seed0" / CELL).exists(), process)
        wait_until(lambda: any("split2" in at and "started" in files for at, _, files in os.walk(running)), process)
        send(process.pid, number)
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert [path.name for path in cells.iterdir()] == ["split1-seed0"]
    return process.returncode, errors


def survivors(group):
    """Processes of a session that has ended, given time to go."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True


def test_a_request_to_terminate_keeps_finished_cells_and_ends_with_143(tmp_path):
    status, errors = interrupted(tmp_path, signal.SIGTERM, 1, os.kill)
    assert status == 143
    assert "Traceback" not in errors


def test_control_c_reaches_the_workers_keeps_finished_cells_and_ends_with_130(tmp_path):
    groups = []

    def send(pid, number):
        groups.append(pid)
        os.killpg(pid, number)  # as a terminal does it

    status, errors = interrupted(tmp_path, signal.SIGINT, 2, send)
    assert status == 130
    assert "interrupted; what was finished is kept" in errors
    assert "Traceback" not in errors
    assert not survivors(groups[0])


def test_a_run_whose_parent_ignores_control_c_goes_on_until_it_is_asked_to_terminate(tmp_path):
    def send(pid, number):
        os.kill(pid, signal.SIGINT)
        time.sleep(0.5)
        os.kill(pid, number)

    status, errors = interrupted(tmp_path, signal.SIGTERM, 1, send, before=ignore_control_c)
    assert status == 143
    assert "interrupted" not in errors and "Traceback" not in errors


def test_the_interrupted_method_is_planned_on_both_splits(registry):
    assert [cell.split for cell in planned(registry, "nearest@sleepy")] == ["split1", "split2"]
