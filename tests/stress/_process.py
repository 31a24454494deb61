"""Processes to attack: copies of this one, so that libraries are imported once and not for every attack."""

from __future__ import annotations

import atexit
import os
import pty
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

HOPELESS = 120  # seconds after which a process will not end by itself


@dataclass
class Child:
    """A process that was started, the leader of its own session.

    Attributes:
        terminal: its end on our side, if it has one.
        status: what it ended with, once that is known.
    """

    pid: int
    log: Path
    terminal: int | None = None
    status: int | None = None

    def ended(self) -> int | None:
        """The exit status, negative for a signal that killed it; None while it runs."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status

    def run_for(self, seconds: float) -> None:
        """Let it go on; what it shows on its terminal is read away, or it would have to wait."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.ended() is None:
            if self.terminal is None:
                time.sleep(min(left, 0.01))
            elif select.select([self.terminal], [], [], min(left, 0.01))[0]:
                with suppress(OSError):  # of a terminal that everybody has left
                    os.read(self.terminal, 1 << 16)

    def wait(self) -> tuple[int, float]:
        """Exit status, and the seconds that it took from now on; a process that hangs is killed."""
        began = time.monotonic()
        while (status := self.ended()) is None:
            if time.monotonic() - began > HOPELESS:
                os.killpg(self.pid, 9)
            time.sleep(0.01)
        return status, time.monotonic() - began

    def survivors(self, patience: float = 5.0) -> list[int]:
        """Processes of its session that go on without it, given some time to end; they are killed then."""
        end = time.monotonic() + patience
        while (left := [process for process in psutil.pids() if _session(process) == self.pid]) and (
            time.monotonic() < end
        ):
            time.sleep(0.05)
        for process in left:
            os.kill(process, 9)
        return left

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def start(work: Callable[[], int], log: Path, on_terminal: bool = False) -> Child:
    """Run some work in a copy of this process.

    Args:
        log: takes standard output and standard error.
        on_terminal: whether standard output is a terminal, which a user may close; standard error never is one here.
    """
    sys.stdout.flush()
    pid, terminal = pty.fork() if on_terminal else (os.fork(), None)
    if pid == 0:
        _be_a_child(work, log, on_terminal)
    return Child(pid, log, terminal)


def _be_a_child(work: Callable[[], int], log: Path, on_terminal: bool) -> None:
    status = 70
    # Whoever attacks under nohup or in the background ignores these; a run would rightly keep to that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 2)
        if not on_terminal:
            os.setsid()
            os.dup2(file, 1)
        status = work()
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - the copy must never go on with what the original does
        traceback.print_exc()
    finally:
        os._exit(status)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid) if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else None
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None
