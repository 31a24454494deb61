"""How a process ends when it is asked to: once, in good order, and within seconds whatever it is busy with."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

PATIENCE = 6.0  # seconds that an orderly end may take
# Control-C, a request to end, and a terminal that was closed. Windows knows no SIGHUP.
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Ended(BaseException):
    """The process was asked to end; what is finished is kept.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


@contextmanager
def orderly_end() -> Iterator[None]:
    """While the block runs, the first signal to end raises in it, KeyboardInterrupt or `Ended`; others are ignored.

    What the parent ignores stays ignored: a job under nohup survives Control-C and the end of its terminal. If the end
    takes longer than `PATIENCE`, as where code of others swallows exceptions, worker processes are killed and the
    process exits at once.
    """
    heeded = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():  # only the main thread hears signals
        yield
        return
    before = {number: signal.signal(number, _end) for number in heeded}
    try:
        with _watched():
            yield
    finally:
        if not _asked:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """A request to end that comes while the block runs raises at its end.

    For starting processes: cut short, it leaves half of one behind. Those that the block starts never hear Control-C,
    which a terminal sends to all: what becomes of them is for their parent to say.
    """
    if _holding or threading.current_thread() is not threading.main_thread():
        yield
        return
    _holding.append(True)
    try:
        with _deaf_children():
            yield
    finally:
        _holding.clear()
        late = _late.copy()
        _late.clear()
        if late:
            _end(late[0], None)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes inherit which signals are blocked, and keep to it."""
    if os.name == "nt":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_asked: list[int] = []  # signals to end that have come
_holding: list[bool] = []  # not empty while they have to wait
_late: list[int] = []  # those that wait


def _end(number: int, frame: FrameType | None) -> None:
    if _holding:
        _late.append(number)
        return
    for each in _ENDING:  # a second signal must not disturb the end that the first one began
        signal.signal(each, signal.SIG_IGN)
    _asked.append(number)
    if number == getattr(signal, "SIGHUP", None):
        _leave_terminal()
    raise KeyboardInterrupt if number == signal.SIGINT else Ended(number)


def _leave_terminal() -> None:
    """What is still said goes nowhere: to write to a closed terminal is an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode):  # rather than a file or pipe that a user sent the output to
            os.dup2(nowhere, stream)


@contextmanager
def _watched() -> Iterator[None]:
    """A thread counts the seconds from a signal on, also while the main thread is deep in a library."""
    if os.name == "nt":
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_count_down, args=(reader,), daemon=True).start()
    try:
        yield
    finally:
        if not _asked:
            signal.set_wakeup_fd(before)
            os.close(writer)  # ends the thread


def _count_down(reader: int) -> None:
    while received := os.read(reader, 1):
        number = received[0]
        if number in _ENDING:
            time.sleep(PATIENCE)
            _end_now(number)
    os.close(reader)


def _end_now(number: int) -> None:
    import psutil  # of no use to a process that ends in good order

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os._exit(128 + number)
