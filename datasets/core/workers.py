"""What the worker processes of joblib do that nobody needs to hear of."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def replaced_workers() -> Iterator[None]:
    """Without loky's warning that it replaces a worker that has grown.

    It does so by itself, between two tasks, 300 MB above what the first one left; a worker that has met several
    networks or many photographs is there without any leak. The death of a worker at work is an exception and still is.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
        yield
