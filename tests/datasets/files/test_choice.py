"""A part of a class is spread over its folders, is the same everywhere, and keeps the order of the list."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.files.choice import chosen

SIZES = {"real/a": 60, "real/b": 30, "real/c/x": 8, "real/c/y": 2}
NAMES = [f"{folder}/{index}.png" for folder, size in SIZES.items() for index in range(size)]


def folders(positions: np.ndarray) -> Counter[str]:
    return Counter(NAMES[position].rpartition("/")[0] for position in positions)


def test_no_limit_takes_all() -> None:
    assert chosen(NAMES, [0] * 100, None).tolist() == list(range(100))


@given(limit=st.integers(1, 120))
def test_each_folder_keeps_its_share_up_to_one_image(limit: int) -> None:
    taken = chosen(NAMES, [0] * 100, limit)
    assert len(taken) == len(set(taken.tolist())) == min(limit, 100)
    assert taken.tolist() == sorted(taken.tolist())
    for folder, size in SIZES.items():
        assert abs(folders(taken)[folder] - size * len(taken) / 100) < 1 + 1e-9


def test_the_limit_holds_for_each_class() -> None:
    labels = [position % 3 for position in range(100)]
    taken = chosen(NAMES, labels, 7)
    assert Counter(labels[position] for position in taken) == {0: 7, 1: 7, 2: 7}


def test_it_is_not_the_first_of_the_list_and_does_not_depend_on_its_order() -> None:
    taken = {NAMES[position] for position in chosen(NAMES, ["a"] * 100, 20)}
    assert taken != set(NAMES[:20])
    order = np.random.default_rng(0).permutation(100)
    shuffled = [NAMES[position] for position in order]
    assert {shuffled[position] for position in chosen(shuffled, ["a"] * 100, 20)} == taken


def test_other_classes_of_the_list_do_not_change_the_choice_of_one() -> None:
    others = [f"fake/{index}.png" for index in range(50)]
    mixed = chosen([*others, *NAMES], ["other"] * 50 + ["a"] * 100, 20)
    assert [position - 50 for position in mixed if position >= 50] == chosen(NAMES, ["a"] * 100, 20).tolist()


@pytest.mark.parametrize("limit", [1, 5])
def test_an_empty_list_stays_empty(limit: int) -> None:
    assert chosen([], [], limit).tolist() == []
