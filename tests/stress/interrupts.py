"""Requests to end at random instants: the right exit status within seconds, nothing left behind, nothing lost."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial

from tests.stress._process import Child
from tests.stress._tally import Tally
from tests.stress._toy import Place, new_place, reference, toy

AT_MOST = 10.0  # seconds until it has ended
LATE = "after the board was written"  # these met no work: told apart, so that they do not pass for attacks survived
Send = Callable[[Child], None]


def to_group(number: int, child: Child) -> None:
    """As a terminal does it: to every process of the run."""
    os.killpg(child.pid, number)


def to_parent(number: int, child: Child) -> None:
    """As a batch system does it."""
    os.kill(child.pid, number)


def twice(send: Send, after: float, child: Child) -> None:
    send(child)
    time.sleep(after)
    if child.ended() is None:
        send(child)


def close_terminal(child: Child) -> None:
    assert child.terminal is not None
    os.close(child.terminal)
    child.terminal = None


def main(count: int, seed: int) -> int:
    """Interrupt so many runs, in turn by every way, with one and with two workers."""
    random_, tally = random.Random(seed), Tally()
    with toy():
        expected, seconds = reference()
        for number in range(count):
            jobs = 1 + number // 5 % 2
            sort, send, status = _way(number, random_.uniform(0, 1))
            # Workers take a while to start.
            instant = random_.uniform(0, seconds * (1 if jobs == 1 else 4))
            with new_place() as place:
                late, faults = _attack(place, jobs, sort, send, status, instant)
                kept = place.finished()
                name = LATE if late else f"{sort}, {jobs} worker(s)"
                tally.add(name, faults + place.faults_of_next_run(kept, expected))
    return tally.report()


def _way(number: int, pause: float) -> tuple[str, Send, int]:
    """A way to end a run, in words and as a function, and the exit status that it leads to."""
    control_c, terminate = partial(to_group, signal.SIGINT), partial(to_parent, signal.SIGTERM)
    ways: list[tuple[str, Send, int]] = [
        ("SIGINT", control_c, 130),
        ("SIGINT twice", partial(twice, control_c, pause), 130),
        ("SIGTERM", terminate, 143),
        ("SIGTERM twice", partial(twice, terminate, pause), 143),
        ("closed terminal", close_terminal, 129),
    ]
    return ways[number % len(ways)]


def _attack(place: Place, jobs: int, sort: str, send: Send, status: int, instant: float) -> tuple[bool, list[str]]:
    """Interrupt a run at an instant: whether that came after all work was done, and what was wrong."""
    child = place.start(jobs=jobs, on_terminal=sort == "closed terminal")
    child.run_for(instant)
    if (ended := child.ended()) is not None:
        return True, [] if ended == 0 else [f"it ended with {ended} by itself: {child.output()[-300:]}"]
    began = time.monotonic()
    send(child)
    found, _ = child.wait()
    took = time.monotonic() - began
    complete = place.is_complete()
    # Once all is done, Python is ending and says of a signal what it likes: a shell tells -15 and 143 alike.
    allowed = (status, 0, 128 - status) if complete else (status,)
    faults = [] if found in allowed else [f"it ended with {found} rather than {status}"]
    faults += [f"it took {took:.1f} s"] if took > AT_MOST else []
    faults += [f"after it went on: {len(left)} processes"] if (left := child.survivors()) else []
    faults += ["a traceback: " + child.output()[-600:]] if "Traceback" in child.output() and not complete else []
    return complete, faults + [f"left behind at once: {path}" for path in place.leftovers()]
