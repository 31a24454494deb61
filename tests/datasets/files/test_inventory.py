"""What is there, what is left out and what is missing add up."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from datasets.files.inventory import Inventory

NAMED = frozenset({"a", "b", "c", "d"})
FOUND = {"a": "/a", "b": "/b", "d": "/d", "extra": "/extra"}


def test_an_image_is_usable_missing_or_left_out_and_then_missing_too() -> None:
    inventory = Inventory.taken(NAMED, FOUND, {"b": "the file is empty"})
    assert inventory.files == {"a": "/a", "d": "/d", "extra": "/extra"}
    assert inventory.left_out == {"b": "the file is empty"}
    assert inventory.missing == ("b", "c")
    assert inventory.coverage == 0.5


def test_images_of_other_lists_do_not_count() -> None:
    inventory = Inventory.taken(NAMED, {**FOUND, "c": "/c"}, {"extra": "the file is empty"})
    assert (inventory.missing, inventory.coverage) == ((), 1.0)


def test_it_does_not_change() -> None:
    inventory = Inventory.taken(NAMED, FOUND, {})
    with pytest.raises(FrozenInstanceError):
        inventory.coverage = 1.0  # type: ignore[misc]
