"""Which images stand in which batch: the samplers restated, and epochs that depend on nothing but their number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from datasets.types import ImageSet
from methods.core.batches import Batch, Batches, DevicePixels, normalise
from tests.methods.data import CPU, image_set, make_run, textures

# The largest class of the published data has 4,066 training images; the other sizes are ours.
LONGEST = 4066
OSMA_SIZES = (LONGEST, *range(3900, 4060, 12))


def numbered(sizes: tuple[int, ...], seed: int = 0, size: int = 1) -> ImageSet:
    """Classes of given sizes in a mixed order; the pixels hold the row number."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = np.arange(len(labels))
    pixels = np.stack([rows % 256, rows // 256, rows * 0], axis=1).astype(np.uint8)
    return image_set(np.tile(pixels[:, None, None], (1, size, size, 1)), labels, len(sizes))


def batches_of(images: ImageSet, resident_bytes: int = 2**30, seed: int = 0, **options: Any) -> Batches:
    return Batches(images, DevicePixels(images, CPU, resident_bytes), CPU, seed, **options)


def rows_of(batches: Batches, epoch: int = 0) -> list[list[int]]:
    return [batch.index.tolist() for batch in batches.epoch(epoch)]


def flat(batches: Batches, epoch: int = 0) -> list[int]:
    return [row for rows in rows_of(batches, epoch) for row in rows]


# -- balanced: the loader of the official POSE code --------------------------------------------------


def items_by_hand(labels: np.ndarray, classes: int) -> list[tuple[int, ...]]:
    """Item i holds image (i mod n_c) of every class c, images in data-set order."""
    members: list[list[int]] = [[] for _ in range(classes)]
    for row, label in enumerate(labels):
        members[label].append(row)
    longest = max(len(rows) for rows in members)
    return [tuple(rows[i % len(rows)] for rows in members) for i in range(longest)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_a_balanced_pass_shows_every_item_once_item_by_item(size: int) -> None:
    images = numbered((5, 3, 7, 1))
    rows = rows_of(batches_of(images, size=size))
    items = [tuple(batch[at : at + 4]) for batch in rows for at in range(0, len(batch), 4)]
    assert sorted(items) == sorted(items_by_hand(images.labels, 4))
    assert [len(batch) // 4 for batch in rows] == [size] * (7 // size) + [7 % size] * (7 % size > 0)


def test_the_labels_of_a_balanced_batch_are_all_classes_again_and_again() -> None:
    for batch in batches_of(numbered((5, 3, 7)), size=2).epoch(0):
        assert batch.labels.tolist() == [0, 1, 2] * (len(batch.labels) // 3)


def test_a_class_without_images_is_left_out_of_the_items() -> None:
    images = image_set(np.zeros((4, 1, 1, 3), dtype=np.uint8), [0, 2, 0, 2], 3)
    assert [batch.labels.tolist() for batch in batches_of(images, size=1).epoch(0)] == [[0, 2], [0, 2]]


@pytest.fixture(scope="module")
def osma_pass() -> list[list[int]]:
    return rows_of(batches_of(numbered(OSMA_SIZES)))


def test_class_sizes_as_in_osma_give_509_steps_and_a_last_batch_of_two_items(osma_pass: list[list[int]]) -> None:
    assert [len(batch) for batch in osma_pass] == [120] * 508 + [30]
    assert sum(map(len, osma_pass)) == 60_990


def test_a_class_with_fewer_images_repeats_its_first_ones(osma_pass: list[list[int]]) -> None:
    images = numbered(OSMA_SIZES)
    times = np.bincount(np.concatenate(osma_pass), minlength=len(images))
    for label, size in enumerate(OSMA_SIZES):
        again = LONGEST - size
        assert times[images.labels == label].tolist() == [2] * again + [1] * (size - again)


def test_an_item_holds_the_same_images_in_every_epoch() -> None:
    batches = batches_of(numbered((5, 3, 4)), size=1)
    first, second = ([tuple(rows) for rows in rows_of(batches, epoch)] for epoch in (0, 1))
    assert first != second
    assert sorted(first) == sorted(second)


def test_an_incomplete_last_batch_can_be_dropped_unless_it_is_the_only_one() -> None:
    images = numbered((5, 3))
    assert [len(rows) for rows in rows_of(batches_of(images, size=2, drop_last=True))] == [4, 4]
    assert [len(rows) for rows in rows_of(batches_of(images, size=9, drop_last=True))] == [10]


# -- the other samplers ------------------------------------------------------------------------------


def test_a_shuffled_pass_shows_every_image_once() -> None:
    images = numbered((5, 3, 7))
    batches = batches_of(images, sampler="shuffled", size=4)
    assert [len(rows) for rows in rows_of(batches)] == [4, 4, 4, 3]
    assert sorted(flat(batches)) == list(range(15))
    assert flat(batches) not in (list(range(15)), flat(batches, 1))


def test_a_pair_joins_every_image_to_one_drawn_from_the_whole_set() -> None:
    images = numbered((40, 60))
    batches = batches_of(images, sampler="paired", size=8)
    assert [len(rows) for rows in rows_of(batches)] == [16] * 12 + [8]
    partners = []
    for epoch in range(50):
        rows = flat(batches, epoch)
        assert sorted(rows[0::2]) == list(range(100))
        partners.append(rows[1::2])
    times = np.bincount(np.concatenate(partners), minlength=100)
    # With replacement: a pass misses (1 - 1/100)^100 = 36.6 % of the images; 5,000 draws, 50 a row.
    missed = np.mean([100 - len(set(rows)) for rows in partners])
    assert missed == pytest.approx(36.6, abs=2)
    assert ((times - 50) ** 2 / 50).sum() == pytest.approx(99, abs=5 * np.sqrt(2 * 99))


def test_partners_do_not_depend_on_the_order_of_the_first_images() -> None:
    rows = flat(batches_of(numbered((500,)), sampler="paired", size=50))
    assert abs(np.corrcoef(rows[0::2], rows[1::2])[0, 1]) < 0.15


@pytest.mark.parametrize("sampler", ["balanced", "shuffled", "paired"])
def test_views_repeat_each_image_in_a_row(sampler: str) -> None:
    images = numbered((3, 5))
    once, thrice = (rows_of(batches_of(images, sampler=sampler, size=2, views=views)) for views in (1, 3))
    assert thrice == [[row for row in rows for _ in range(3)] for rows in once]


# -- epochs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sampler", "size"), [("balanced", 4), ("shuffled", 8), ("paired", 8)])
def test_an_epoch_longer_than_a_pass_begins_new_passes(sampler: str, size: int) -> None:
    batches = batches_of(numbered((8, 8)), sampler=sampler, size=size, steps=5)  # two batches per pass
    rows = rows_of(batches)
    assert len(batches) == len(rows) == 5
    stride = 2 if sampler == "paired" else 1
    first, second = (rows[0] + rows[1])[::stride], (rows[2] + rows[3])[::stride]
    assert sorted(first) == sorted(second) == list(range(16))
    assert first != second


@pytest.mark.parametrize(
    ("steps", "most", "expected"), [(None, None, 2), (None, 1, 1), (7, None, 7), (7, 3, 3), (3, 7, 3)]
)
def test_an_epoch_has_as_many_batches_as_asked_for_and_no_more_than_the_run_allows(
    steps: int | None, most: int | None, expected: int
) -> None:
    batches = batches_of(numbered((4, 4)), size=2, steps=steps, max_steps=most)
    assert len(batches) == len(rows_of(batches)) == expected


@pytest.mark.parametrize(("steps", "most", "expected"), [(None, None, 4), (3, None, 6), (3, 5, 5), (3, 9, 6)])
def test_an_epoch_of_several_passes_goes_through_its_steps_so_many_times(
    steps: int | None, most: int | None, expected: int
) -> None:
    batches = batches_of(numbered((4, 4)), size=2, steps=steps, passes=2, max_steps=most)
    assert len(batches) == len(rows_of(batches)) == expected


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in ("images", "labels", "index"))


@pytest.mark.parametrize("sampler", ["balanced", "shuffled", "paired"])
def test_an_epoch_is_the_same_whatever_was_drawn_before_it(sampler: str) -> None:
    images = numbered((6, 9))
    fresh = list(batches_of(images, sampler=sampler, size=2, transform=with_noise).epoch(3))
    used = batches_of(images, sampler=sampler, size=2, transform=with_noise)
    next(used.epoch(3))
    flat(used, 0)
    torch.manual_seed(1)
    np.random.seed(1)
    interleaved = [batch for batch, _ in zip(used.epoch(3), used.epoch(4), strict=True)]
    assert len(fresh) == len(interleaved)
    assert all(map(same, fresh, interleaved))


def test_batches_leave_the_global_generators_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"]
    flat(batches_of(numbered((6, 9)), size=2, transform=with_noise))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state(legacy=False)["state"]["key"]).all()


def test_seed_name_and_epoch_give_different_orders() -> None:
    images = numbered((50,))
    orders = [
        flat(make_run(seed).batches(images, "shuffled", name=name), epoch)
        for seed, name, epoch in [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    ]
    assert len(set(map(tuple, orders))) == 4


def with_noise(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(pixels.shape, generator=generator)


def test_every_batch_and_view_gets_its_own_draws() -> None:
    batches = batches_of(numbered((6, 9)), size=2, steps=12, views=2, transform=with_noise)
    drawn = torch.cat([batch.images.flatten(1) for epoch in (0, 1) for batch in batches.epoch(epoch)])
    assert len(torch.unique(drawn, dim=0)) == len(drawn)


# -- pixels ------------------------------------------------------------------------------------------


def test_bytes_become_floats_between_minus_one_and_one() -> None:
    floats = normalise(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert floats.dtype == torch.float32
    assert floats.tolist() == pytest.approx([-1, -0.6, 1], abs=1e-6)


def test_a_batch_holds_the_pixels_of_its_rows() -> None:
    images = textures(2, 3, 16)
    for batch in batches_of(images, size=2).epoch(0):
        expected = images.batch(batch.index.numpy()).transpose(0, 3, 1, 2) / 127.5 - 1
        np.testing.assert_allclose(batch.images.numpy(), expected, atol=1e-6)
        assert (images.labels[batch.index.numpy()] == batch.labels.numpy()).all()
        assert (batch.images.dtype, batch.labels.dtype, batch.index.dtype) == (torch.float32, torch.int64, torch.int64)


@pytest.mark.parametrize("sampler", ["balanced", "shuffled", "paired"])
def test_a_set_that_is_streamed_gives_the_batches_of_a_resident_one(sampler: str) -> None:
    images = textures(2, 3, 16)
    enough = images.batch(slice(None)).nbytes
    resident, streamed = (
        list(batches_of(images, bytes_, sampler=sampler, size=2, views=2).epoch(0)) for bytes_ in (enough, enough - 1)
    )
    assert all(map(same, resident, streamed))


def test_a_set_within_the_limit_is_read_once_and_a_larger_one_batch_by_batch() -> None:
    pool = np.full((2, 16, 16, 3), 7, dtype=np.uint8)
    images = image_set(pool, [0, 1], 2)
    resident, streamed = DevicePixels(images, CPU, pool.nbytes), DevicePixels(images, CPU, pool.nbytes - 1)
    pool[:] = 9
    assert resident[np.array([1])].unique().tolist() == [7]
    assert streamed[np.array([1])].unique().tolist() == [9]


def test_a_transform_gets_bytes_and_cannot_spoil_the_resident_pixels() -> None:
    def blacken(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        assert pixels.dtype == torch.uint8
        return pixels.zero_().float()

    images = textures(2, 3, 16)
    pixels = DevicePixels(images, CPU, 2**30)
    before = pixels[np.arange(6)].clone()
    list(Batches(images, pixels, CPU, 0, transform=blacken).epoch(0))
    assert torch.equal(pixels[np.arange(6)], before)
