"""A disk that is full at the k-th write: one line, the old state stays, and the next run finishes."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable

from tests.stress._tally import Tally
from tests.stress._toy import Place, moved_on, new_place, reference, toy
from tests.stress._writes import watch
from tests.stress.kills import count_operations

SORTS = ("one write fails", "all writes fail from then on", "all writes fail, older cells there")


def main(count: int, seed: int) -> int:
    """Let so many runs meet a full disk."""
    random_, tally = random.Random(seed), Tally()
    with toy():
        expected, _ = reference()
        writes = count_operations(removals=False)
        for number in range(count):
            sort, at = SORTS[number % len(SORTS)], random_.randrange(writes)
            with new_place() as place:
                if "older" in sort:
                    place.start(moved_on).wait()
                tally.add(sort, _faults(place, at, "one write" in sort, expected))
    return tally.report()


def _faults(place: Place, at: int, once: bool, expected: dict[os.PathLike[str], bytes]) -> list[str]:
    before = place.finished()
    child = place.start(_full(place, at, once))
    status, _ = child.wait()
    output, kept = child.output(), place.finished()
    held = list(kept.values())
    faults = [f"{cell.name} was lost at once" for cell, files in before.items() if files not in held]
    faults += [f"left behind at once: {path}" for path in place.leftovers()]
    if "Traceback" in output:
        faults.append(f"write {at}: a traceback: {output[-600:]}")
    if status not in (0, 1, 2):
        faults.append(f"write {at}: it ended with {status}: {output[-300:]}")
    if status and "No space left" not in output:
        faults.append(f"write {at}: it ended with {status} and does not say why: {output[-300:]}")
    return faults + place.faults_of_next_run(kept, expected)


def _full(place: Place, at: int, once: bool) -> Callable[[], None]:
    """From the write of that number on, or at it alone, there is no space left."""
    number = -1

    def heed(event: str) -> None:
        nonlocal number
        number += 1
        if number == at or (number > at and not once):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: watch(place.folder, heed, removals=False)
