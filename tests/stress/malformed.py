"""Malformed input of every kind, by the thousand: each must be read, or refused in one line.

`python -m tests.stress malformed --count N --seed S` tries N inputs shared out among the kinds and prints, by kind, how
many were tried, read, refused in one line, and lost (whatever else came out). A short version runs with the tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.console import say
from datasets.errors import UserError
from tests.stress import _malformed_cells, _malformed_lists

Attempt = Callable[[Path, Any], None]  # tries one input in an empty folder of its own


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    tried: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Kind:
    """A kind of input: how it is made up, and what reads it."""

    inputs: st.SearchStrategy[Any]
    attempt: Attempt


KINDS: Mapping[str, Kind] = {
    "annotation file": Kind(_malformed_lists.annotations(), _malformed_lists.read_annotations),
    "YAML of own images": Kind(_malformed_lists.descriptions(), _malformed_lists.read_description),
    "image file": Kind(_malformed_lists.images(), _malformed_lists.decode_image),
    "stored cell": Kind(_malformed_cells.cells(), _malformed_cells.verify_and_load),
    "command line": Kind(_malformed_cells.command_lines(), _malformed_cells.call),
}


def attempt_kind(kind: Kind, count: int, number: int, folder: Path) -> Tally:
    """Try so many inputs of a kind; the seed decides which."""
    tally, started = Tally(), time.perf_counter()

    @hypothesis.seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(kind.inputs)
    def attempt(value: Any) -> None:
        tally.tried += 1
        try:
            kind.attempt(folder, value)
        except UserError as error:
            tally.refused += 1
            if "\n" in str(error) or "Traceback" in str(error):
                tally.lost.append(f"a message of more than one line: {str(error)[:300]!r} of {str(value)[:500]!r}")
        except Exception as error:  # noqa: BLE001 - whatever else comes out is a find
            tally.lost.append(f"{type(error).__name__}: {str(error)[:300]} of {str(value)[:500]!r}")

    attempt()
    tally.seconds = time.perf_counter() - started
    return tally


def main(count: int, seed: int) -> int:
    """Try so many inputs, shared out among the kinds; print what became of them; 1 if any was lost."""
    lost = 0
    say(f"{'kind':<20} {'tried':>7} {'read':>7} {'refused':>7} {'lost':>5} {'seconds':>8}")
    for name, kind in KINDS.items():
        with TemporaryDirectory() as folder:
            tally = attempt_kind(kind, count // len(KINDS), seed, Path(folder))
        read = tally.tried - tally.refused - len(tally.lost)
        say(f"{name:<20} {tally.tried:>7} {read:>7} {tally.refused:>7} {len(tally.lost):>5} {tally.seconds:>8.1f}")
        for line in dict.fromkeys(tally.lost[:5]):
            say(f"  lost: {line}")
        lost += len(tally.lost)
    return 1 if lost else 0
