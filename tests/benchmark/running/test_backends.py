"""A scheduler has some seconds to answer; dask itself is not needed to see it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from benchmark.running.backends import PATIENCE, connect
from tests.benchmark.toy import refused


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("Timed out trying to connect to tcp://127.0.0.1:1 after 10 s\nand more"), "(Timed out trying to"),
        (TimeoutError(), "(TimeoutError)"),
        (ValueError("unknown address scheme 'abc'"), "(unknown address scheme 'abc')"),
    ],
)
def test_a_scheduler_that_does_not_answer_is_one_line_within_bounded_time(monkeypatch, error, reason):
    asked = []

    def client(address, timeout):
        asked.append((address, timeout))
        raise error

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=client))
    with refused(f"--scheduler tcp://127.0.0.1:1 does not answer {reason}"):
        connect("dask", "tcp://127.0.0.1:1")
    assert asked == [("tcp://127.0.0.1:1", PATIENCE)]
