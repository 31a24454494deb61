"""SIGKILL, at random instants and at every sort of file operation: finished cells stay, the next run finishes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

from tests.stress._process import Child
from tests.stress._tally import Tally
from tests.stress._toy import Place, moved_on, new_place, reference, toy
from tests.stress._writes import watch


def main(count: int, seed: int) -> int:
    """Kill so many runs, in turn at an instant and at a file operation; every fourth run replaces older cells."""
    random_, tally = random.Random(seed), Tally()
    with toy():
        expected, seconds = reference()
        operations = count_operations()
        for number in range(count):
            with new_place() as place:
                older = number % 4 >= 2
                if older:
                    place.start(moved_on).wait()
                if number % 2:
                    sort, child = "at a file operation", place.start(_killer(place, random_.randrange(operations)))
                else:
                    sort, child = "at an instant", _kill_later(place.start(), random_.uniform(0, seconds))
                child.wait()
                kept = place.finished()
                tally.add(f"{sort}{', older cells there' if older else ''}", place.faults_of_next_run(kept, expected))
    return tally.report()


def count_operations(removals: bool = True) -> int:
    """How many file operations a run does, with or without those that only remove."""
    with new_place() as place:
        seen = place.folder / "seen"

        def prepare() -> None:
            file = os.open(seen, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

            def heed(event: str) -> None:
                os.write(file, b".")

            watch(place.folder, heed, removals)

        place.start(prepare).wait()
        return seen.stat().st_size


def _killer(place: Place, at: int) -> Callable[[], None]:
    """Kills its own process when it comes to the operation of that number."""
    events = iter(range(at + 1))

    def heed(event: str) -> None:
        if next(events, at) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: watch(place.folder, heed)


def _kill_later(child: Child, seconds: float) -> Child:
    time.sleep(seconds)
    if child.ended() is None:
        os.kill(child.pid, signal.SIGKILL)
    return child
