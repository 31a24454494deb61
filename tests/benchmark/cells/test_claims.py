"""A cell is computed by one run at a time; the system takes a claim back from the dead."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmark.cells.claims import can_claim, claim_file, claimed
from benchmark.cells.store import Store
from datasets.core.places import Unwritable
from tests.benchmark.rows import row_cell

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def test_a_claim_holds_others_off_until_it_ends(store):
    cell = row_cell("nearest")
    with claimed(store, cell) as ours, claimed(store, cell) as others:
        assert (ours, others) == (True, False)
    with claimed(store, cell) as again:
        assert again
    assert claim_file(store, cell).read_bytes() == b""


def test_cells_are_claimed_one_by_one(store):
    with claimed(store, row_cell("nearest")) as first, claimed(store, row_cell("follower")) as second:
        assert first and second


def test_who_waits_gets_the_cell_when_the_other_is_done(store):
    cell, order, held = row_cell("nearest"), [], threading.Event()

    def other():
        with claimed(store, cell):
            held.set()
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    held.wait()
    with claimed(store, cell, wait=True) as ours:
        order.append("ours")
    thread.join()
    assert ours and order == ["other", "ours"]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is known elsewhere by other names")
def test_a_process_that_is_killed_loses_its_claim(store):
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom benchmark.cells.claims import claimed\n"
        "from benchmark.cells.store import Store\nfrom tests.benchmark.rows import row_cell\n"
        "with claimed(Store(Path(sys.argv[1])), row_cell('nearest')):\n    print('held', flush=True)\n"
        "    time.sleep(60)"
    )
    words = [sys.executable, "-c", program, str(store.root)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with claimed(store, row_cell("nearest")) as ours:
            assert not ours
        process.send_signal(signal.SIGKILL)
    with claimed(store, row_cell("nearest")) as ours:
        assert ours


@pytest.mark.skipif(os.name != "posix", reason="locks of another kind")
def test_without_locks_every_cell_is_anybodys(store, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    cell = row_cell("nearest")
    assert not can_claim(store)
    with claimed(store, cell) as ours, claimed(store, cell) as others:
        assert ours and others
    assert not claim_file(store, cell).exists()


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unwritable, match="cannot write"), claimed(Store(tmp_path / "file"), row_cell("nearest")):
        pass
