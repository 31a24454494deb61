"""JSON of ours comes back as it was written; every trap is a ValueError of one line."""

from __future__ import annotations

import json
import math

import pytest

from datasets.core.strict_json import parse_json


def test_what_is_written_comes_back() -> None:
    value = {"a": [1, -2.5, None, True, {"b": "é"}], "n": 2**63}
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json("[-Infinity]", finite=False) == [-math.inf]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000 + "]" * 100_000, "it is nested too deeply"),
        ("[" * 65 + "]" * 65, "it is nested more than 64 levels deep"),
        ('{"a":' * 65 + "1" + "}" * 65, "it is nested more than 64 levels deep"),
        ("9" * 5000, "a number of 5,000 digits"),
        ("1e999", "number '1e999' is too large"),
        ("NaN", "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        ('{"a": 1, "b": 2, "a": 3}', "key 'a' stands twice"),
        (b'["\xff"]', "byte 0xff is not UTF-8"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_a_trap_is_refused_in_one_line(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_json(text)
    assert str(caught.value) == reason


def test_64_levels_are_read() -> None:
    assert parse_json("[" * 64 + "]" * 64)
