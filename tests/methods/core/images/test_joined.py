"""Sets in a row behave as one set."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.types import ImageSet
from methods.core.images.joined import JoinedImages, JoinedPool
from tests.methods.data import textures


def joined() -> tuple[JoinedImages, np.ndarray]:
    parts = [textures(2, 3, 32), textures(3, 2, 32, seed=1), textures(2, 1, 32, seed=2).take(np.arange(0))]
    labels = np.concatenate([parts[0].labels, parts[1].labels + 1])
    pixels = np.concatenate([part.batch(slice(None)) for part in parts])
    return JoinedImages(parts, labels, ("real", "a", "b", "c")), pixels


def test_pixels_come_in_the_order_of_the_parts_for_any_index() -> None:
    images, pixels = joined()
    assert len(images) == 12
    assert images.image_size == 32
    for index in (np.array([11, 0, 6, 5, 5]), slice(3, 9), slice(None)):
        assert (images.batch(index) == pixels[index]).all()
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 3]


def test_a_part_of_it_shows_its_own_images_alone() -> None:
    images, pixels = joined()
    some = images.take(np.array([7, 2]))
    assert len(some) == 2
    assert some.ids.tolist() == images.ids[[7, 2]].tolist()
    assert (some.take(np.array([False, True])).batch(slice(None)) == pixels[[2]]).all()
    assert (some.batch(slice(None)) == pixels[[7, 2]]).all()
    assert some.labels.tolist() == [1, 0]
    hidden = images.unlabelled(np.array([3, 4]))
    assert (hidden.batch(slice(None)) == pixels[[3, 4]]).all()
    assert hidden.labels.tolist() == [-1, -1]
    assert hidden.classes == ()
    assert hidden.ids.tolist() == ["image-000000", "image-000001"]


def test_whoever_holds_a_view_reaches_neither_the_pool_nor_its_parts() -> None:
    some = joined()[0].take(np.array([7, 2]))
    assert type(some) is ImageSet
    with pytest.raises(IndexError):
        some.batch(np.array([2]))
    assert not {"pool", "parts"} & {*dir(some), *dir(JoinedPool([some]))}


def test_labels_that_do_not_fit_and_sides_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="one entry per image"):
        JoinedImages([textures(2, 3, 32)], np.zeros(2, dtype=np.int64), ("real",))
    with pytest.raises(ValueError, match="sizes"):
        JoinedImages([textures(2, 3, 32), textures(2, 3, 64)], np.zeros(12, dtype=np.int64), ("real",))
