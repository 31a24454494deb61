"""How a process ends when it is asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from datasets.signals import held, orderly_end

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds; a slow machine needs a while to start Python

pytestmark = pytest.mark.skipif(os.name != "posix", reason="other systems have other signals")

PROGRAM = """
import signal, subprocess, sys, time
from pathlib import Path
from datasets import signals
from datasets.console import exit_status

signals.PATIENCE = 0.5

def wait():
    time.sleep(60)

def stubborn():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def with_a_child():
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
    Path(sys.argv[3]).write_text(str(child.pid))
    stubborn()

def slow_to_end():
    try:
        wait()
    finally:
        time.sleep(0.3)
        print("in good order", flush=True)

def begin_something():
    with signals.held():
        print("holding", flush=True)
        time.sleep(0.5)
        print("begun", flush=True)
    wait()

def main():
    for number in filter(None, sys.argv[2].split(",")):
        assert signal.getsignal(int(number)) is signal.SIG_IGN
    print("ready", flush=True)
    globals()[sys.argv[1]]()

sys.exit(exit_status(main))
"""


def heed(ignored: tuple[int, ...]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        chosen = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in ignored else chosen)


def start(work: str, ignored: tuple[int, ...] = (), file: Path | None = None) -> subprocess.Popen[str]:
    """A process that is at work, whose parent ignores some signals."""
    words = [sys.executable, "-c", PROGRAM, work, ",".join(str(int(number)) for number in ignored), str(file)]
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: heed(ignored)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "status", "told"),
    [
        (signal.SIGINT, 130, "interrupted; what was finished is kept\n"),
        (signal.SIGTERM, 143, ""),
        (signal.SIGHUP, 129, ""),
    ],
)
def test_the_exit_status_tells_the_signal(number: int, status: int, told: str) -> None:
    process = start("wait")
    process.send_signal(number)
    assert process.communicate(timeout=PATIENCE)[1] == told
    assert process.returncode == status


def test_what_the_parent_ignores_stays_ignored_and_a_request_to_terminate_is_heeded() -> None:
    process = start("wait", ignored=(signal.SIGINT, signal.SIGHUP))
    for number in (signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == 143


def test_a_second_signal_does_not_disturb_the_end() -> None:
    process = start("slow_to_end")
    process.terminate()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.terminate()
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output, errors) == (143, "in good order\n", "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_request_to_end_waits_until_what_is_being_started_has_started(number: int, status: int) -> None:
    process = start("begin_something")
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    process.send_signal(number)
    output, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (status, "begun\n")


def test_what_is_started_meanwhile_does_not_hear_control_c_and_hears_a_request_to_terminate() -> None:
    words = [sys.executable, "-c", "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"]
    with held():
        inside = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    after = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert (inside, after) == ("[<Signals.SIGINT: 2>]\n", "[]\n")


def ended(pid: int) -> bool:
    """Whether a process has ended, which is given time for it."""
    with suppress(psutil.NoSuchProcess):
        for _ in range(100):
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
            time.sleep(0.02)
        return False
    return True


def test_code_that_swallows_the_request_is_ended_with_its_children(tmp_path: Path) -> None:
    process = start("with_a_child", file=tmp_path / "child")
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        time.sleep(0.02)
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert ended(int((tmp_path / "child").read_text()))


def test_handlers_are_those_of_before_when_the_block_ends() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with orderly_end():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
