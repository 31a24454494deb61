"""Splits, numbers and names as people write them."""

from __future__ import annotations

import pytest

from datasets.core.split_list import number_list, split_list, word_list
from datasets.errors import UserError
from datasets.mini.dataset import Mini
from datasets.settings import DataSettings


def test_splits_are_written_as_numbers_ranges_or_names() -> None:
    mini = Mini(DataSettings(image_size=64))
    every = [f"split{number}" for number in range(1, 6)]
    assert split_list(None, mini) == split_list("1-5", mini) == every
    assert split_list("3, split1,3", mini) == ["split3", "split1"]
    assert split_list("calibration", mini) == ["calibration"]
    assert number_list("0-2,7", "--seeds") == [0, 1, 2, 7]
    for text, message in (("6", "mini has no 'split6'"), ("b", "mini has no 'b'"), ("5-1", "runs backwards")):
        with pytest.raises(UserError, match=message):
            split_list(text, mini)
    with pytest.raises(UserError, match="--seeds x: write numbers such as"):
        number_list("x", "--seeds")


def test_names_are_written_with_commas_and_an_empty_list_is_refused() -> None:
    assert word_list(" pose, base@ce,,pose", "--methods") == ["pose", "base@ce", "pose"]
    for text in ("", " ,"):
        with pytest.raises(UserError, match=f"--methods '{text}' is empty; write names with commas between"):
            word_list(text, "--methods")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0-99999999999", "--seeds 0-99999999999: more than 10,000 numbers; write a shorter range"),
        (",".join(["0-9998"] * 2), "more than 10,000 numbers; write a shorter range"),
        ("9" * 5000, "999...: a number has more than 18 digits; write a smaller one"),
        ("1\n", "--seeds 1\\n: write numbers such as 0, 0-2 or 0,3"),
        ("\u0663", "write numbers such as 0, 0-2 or 0,3"),  # a digit, but not of ours
    ],
)
def test_numbers_without_measure_are_refused_at_once(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        number_list(text, "--seeds")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300
