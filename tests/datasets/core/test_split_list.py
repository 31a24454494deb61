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
