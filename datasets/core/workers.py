"""Work for all cores: chunk by chunk in worker processes of joblib, without what nobody needs to hear of them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from datasets.signals import held

if TYPE_CHECKING:
    from joblib import Parallel

ALONE = 256  # fewer items are done sooner than other processes are started
CHUNK = 64  # items that a process takes at a time

Item = TypeVar("Item")
Result = TypeVar("Result")


def chunk_by_chunk(
    work: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    in_order: bool = True,
    among: int | None = None,
) -> Iterator[Result]:
    """What `work` makes of each chunk of the items, as soon as it is there.

    Args:
        work: a function that other processes can import.
        items: all of them.
        in_order: whether a chunk waits for those before it.
        among: how many items there are in all, where these are a part of them; decides whether other processes help.
    """
    from joblib import Parallel, delayed  # takes longer to import than most commands to answer

    chunks = (items[first : first + CHUNK] for first in range(0, len(items), CHUNK))
    jobs = 1 if (len(items) if among is None else among) < ALONE else -1
    workers = Parallel(n_jobs=jobs, return_as="generator" if in_order else "generator_unordered")
    yield from begun(workers, (delayed(work)(chunk) for chunk in chunks))


def begun(pool: Parallel, tasks: Iterable[Any]) -> Iterator[Any]:
    """What a pool of joblib makes of its tasks, begun at once; its workers do not hear Control-C, even as they start.

    The trackers of resources run before: when one starts, it opens the ears of the thread that starts it.
    """
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as of_loky

    if os.name == "posix" and pool.n_jobs != 1:
        resource_tracker.ensure_running()
        of_loky.ensure_running()
    with held():
        return iter(pool(tasks))


@contextmanager
def replaced_workers() -> Iterator[None]:
    """Without loky's warning that it replaces a worker that has grown.

    It does so by itself, between two tasks, 300 MB above what the first one left; a worker that has met several
    networks or many photographs is there without any leak. The death of a worker at work is an exception and still is.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
        yield
