"""Image sets over any pool, and what a view keeps to itself."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.types import ImageSet, Index, Pixels


class Counting:
    """A pool whose every pixel holds the number of its row."""

    image_size = 4

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def read(self, rows: Index) -> Pixels:
        self.asked.append(rows.tolist())
        return np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (len(rows), 4, 4, 3))


def names(count: int) -> np.ndarray:
    return np.array([f"image {row}" for row in range(count)])


def test_a_pool_is_asked_for_the_rows_of_a_view_and_for_no_others() -> None:
    pool = Counting()
    images = ImageSet(pool, np.array([5, 2, 9, 7]), np.array([0, 1, 1, 0]), ("a", "b"), names(4))
    assert images.image_size == 4
    assert images.batch(np.array([3, 0]))[:, 0, 0, 0].tolist() == [7, 5]
    some = images.take(images.labels == 1)
    assert some.batch(slice(None))[:, 0, 0, 0].tolist() == [2, 9]
    assert some.unlabelled(np.array([1])).batch(slice(None))[:, 0, 0, 0].tolist() == [9]
    assert pool.asked == [[7, 5], [2, 9], [9]]
    with pytest.raises(IndexError):
        some.batch(np.array([2]))


def test_an_array_is_a_pool_and_what_is_read_from_it_is_a_copy() -> None:
    pixels = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    images = ImageSet(pixels, np.array([1]), np.array([0]), ("a",), names(1))
    batch = images.batch(slice(None))
    assert (batch == pixels[[1]]).all()
    batch[:] = 0
    assert (images.batch(slice(None)) == pixels[[1]]).all()


def test_neither_pool_nor_rows_are_within_reach_of_whoever_holds_a_view() -> None:
    images = ImageSet(Counting(), np.array([1]), np.array([0]), ("a",), names(1))
    assert {name for name in dir(images) if not name.startswith("_")} == {
        "batch", "classes", "ids", "image_size", "labels", "sources", "take", "unlabelled",
    }  # fmt: skip
