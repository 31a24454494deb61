"""The 170 image transformations: which there are, and that each does what its name says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d, median_filter
from torch import Tensor

from datasets.types import Pixels
from methods.core.images.transformations import Filter, Transformations, resize_matrix
from tests.methods.data import CPU, smooth_content

SIZE = 64
FAMILIES = ("jpeg", "double jpeg", "gaussian blur", "median blur", "resampling", "noise")
FIRST = {"jpeg": 0, "double jpeg": 24, "gaussian blur": 48, "median blur": 62, "resampling": 76, "noise": 156}
FILTERS: tuple[Filter, ...] = ("nearest", "bilinear", "bicubic", "area", "lanczos4")
# A row of eight grey levels, brought to 5 and to 12 by OpenCV 5.0 in floating point (cv2.resize).
ROW = np.array([30.0, 10.0, 40.0, 10.0, 50.0, 90.0, 20.0, 60.0])
RESIZED: dict[Filter, tuple[list[float], list[float]]] = {
    "nearest": ([30, 10, 10, 50, 20], [30, 30, 10, 40, 40, 10, 50, 50, 90, 20, 20, 60]),
    "bilinear": ([24, 37, 30, 83, 48], [30, 20, 15, 35, 25, 16.667, 43.333, 70, 78.333, 31.667, 40, 60]),
    "bicubic": (
        [23.003, 39.227, 23.438, 86.42, 45.533],
        [31.736, 17.188, 13.09, 37.951, 24.062, 12.442, 40.266, 80.312, 82.731, 27.269, 33.438, 63.472],
    ),
    "area": ([22.5, 28.75, 30, 67.5, 45], [30, 20, 10, 40, 25, 10, 50, 70, 90, 20, 40, 60]),
    "lanczos4": (
        [21.04, 39.448, 16.207, 84.996, 42.63],
        [33.034, 14.514, 14.231, 38.444, 27.523, 8.645, 36.605, 86.755, 80.734, 26.896, 30.298, 66.127],
    ),
}


def textured(count: int, size: int = SIZE) -> Pixels:
    """Smooth colours with grey noise, (count, 3, size, size)."""
    noise = 12 * np.random.default_rng(1).standard_normal((count, size, size, 1))
    pixels = np.clip(smooth_content(count, size, 0) + noise, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator(CPU).manual_seed(seed)


@pytest.fixture(scope="module")
def grid() -> Transformations:
    return Transformations(SIZE, CPU)


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.from_numpy(textured(1))


@pytest.fixture(scope="module")
def everything(grid: Transformations, image: Tensor) -> Pixels:
    """One image through every transformation, (170, 3, N, N)."""
    pixels = image.expand(len(grid), -1, -1, -1).contiguous()
    return np.asarray(grid(pixels, torch.arange(len(grid)), generator()))


def error(one: Pixels, other: Pixels) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(one.astype(np.float64) - other).mean())


# -- the grid --------------------------------------------------------------------------------------------


def test_there_are_170_transformations_family_after_family(grid: Transformations) -> None:
    assert len(grid) == 170
    first = accumulate(map(len, grid.families.values()), initial=0)
    assert dict(zip(grid.families, first, strict=False)) == FIRST
    assert tuple(grid.families) == FAMILIES


def test_every_fourth_value_of_each_grid_leaves_44() -> None:
    reduced = Transformations(SIZE, CPU, every=4)
    assert [len(reduced.families[family]) for family in FAMILIES] == [6, 6, 4, 4, 20, 4]
    assert len(reduced) == 44


@pytest.mark.parametrize("size", [32, 64, 128])
def test_every_transformation_keeps_shape_and_bytes_and_changes_the_image(size: int) -> None:
    grid = Transformations(size, CPU)
    pixels = torch.from_numpy(textured(1, size)).expand(len(grid), -1, -1, -1).contiguous()
    before = pixels.clone()
    changed = grid(pixels, torch.arange(len(grid)), generator())
    assert changed.shape == pixels.shape
    assert changed.dtype == torch.uint8
    assert (changed != pixels).flatten(1).any(dim=1).all()
    assert torch.equal(pixels, before)


def test_an_image_is_changed_alike_in_any_batch_and_by_any_number_of_threads(grid: Transformations) -> None:
    still = FIRST["noise"]
    labels = torch.arange(0, still, 7)
    pixels = torch.from_numpy(textured(len(labels)))
    together = grid(pixels, labels, generator())
    order = torch.randperm(len(labels), generator=generator())
    threaded = Transformations(SIZE, CPU, workers=3)
    assert torch.equal(threaded(pixels[order], labels[order], generator()), together[order])
    for row, label in enumerate(labels):
        assert torch.equal(grid(pixels[row : row + 1], label[None], generator())[0], together[row])


# -- JPEG ------------------------------------------------------------------------------------------------


def test_jpeg_errs_less_the_higher_its_quality(everything: Pixels, image: Tensor) -> None:
    errors = [error(everything[label], image[0].numpy()) for label in range(24)]
    assert all(better < worse for worse, better in zip(errors[:-3], errors[3:], strict=True))
    assert errors[23] < errors[0] / 3


def test_a_double_jpeg_is_the_second_quality_after_the_first(everything: Pixels, grid: Transformations) -> None:
    """The second qualities in the order of the first, 30, 33, ... 99; label (q - 30) / 3 is the single one."""
    second = [39, 99, 36, 93, 60, 75, 81, 39, 63, 69, 60, 87, 90, 48, 81, 75, 72, 78, 54, 33, 81, 30, 36, 99]
    singles = torch.from_numpy(everything[:24])
    again = grid(singles, (torch.tensor(second) - 30) // 3, generator())
    np.testing.assert_array_equal(everything[24:48], again.numpy())


def test_jpeg_has_chroma_at_half_resolution(grid: Transformations) -> None:
    """Columns that alternate between two colours of equal luma become flat even at quality 99."""
    stripes = torch.zeros((1, 3, SIZE, SIZE), dtype=torch.uint8)
    stripes[:, 0, :, ::2], stripes[:, 1, :, 1::2] = 157, 80  # 0.299 x 157 = 0.587 x 80
    changed = grid(stripes, torch.tensor([23]), generator())[0].double()
    assert (changed[:, :, 0::2] - changed[:, :, 1::2]).abs().max() < 8


# -- blur ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("position", "kernel"), [(0, 3), (6, 15), (13, 29)])
def test_gaussian_blur_is_the_convolution_with_mirrored_borders(
    position: int, kernel: int, everything: Pixels, image: Tensor
) -> None:
    deviation = 0.3 * ((kernel - 1) / 2 - 1) + 0.8
    weights = np.exp(-((np.arange(kernel) - kernel // 2) ** 2) / (2 * deviation**2))
    blurred = image[0].double().numpy()
    for axis in (1, 2):
        blurred = correlate1d(blurred, weights / weights.sum(), axis=axis, mode="mirror")
    np.testing.assert_allclose(everything[FIRST["gaussian blur"] + position], blurred, atol=0.501)


@pytest.mark.parametrize(("position", "kernel"), [(0, 3), (6, 15), (13, 29)])
def test_median_blur_is_the_median_with_repeated_borders(
    position: int, kernel: int, everything: Pixels, image: Tensor
) -> None:
    expected = median_filter(image[0].numpy(), size=(1, kernel, kernel), mode="nearest")
    np.testing.assert_array_equal(everything[FIRST["median blur"] + position], expected)


# -- resampling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FILTERS)
def test_resizing_has_opencvs_weights(kind: Filter) -> None:
    smaller, larger = RESIZED[kind]
    np.testing.assert_allclose(resize_matrix(kind, 8, 5) @ ROW, smaller, atol=2e-3)
    np.testing.assert_allclose(resize_matrix(kind, 8, 12) @ ROW, larger, atol=2e-3)


@pytest.mark.parametrize("kind", FILTERS)
def test_resizing_keeps_a_flat_image_and_has_no_effect_at_equal_size(kind: Filter) -> None:
    for source, target in ((64, 9), (9, 64), (128, 115)):
        np.testing.assert_allclose(resize_matrix(kind, source, target).sum(axis=1), 1)
    np.testing.assert_allclose(resize_matrix(kind, 16, 16), np.eye(16), atol=1e-12)


def test_a_128_px_image_goes_down_to_the_published_sizes() -> None:
    """After the nearest neighbour down and up again, only as many rows differ as there were in between."""
    grid = Transformations(128, CPU)
    ramp = torch.arange(128, dtype=torch.uint8)[:, None].expand(16, 3, 128, 128).contiguous()
    labels = torch.arange(76, 92)
    changed = grid(ramp, labels, generator())
    sizes = [19, 25, 32, 38, 44, 51, 57, 64, 70, 76, 83, 89, 96, 102, 108, 115]
    assert [len(np.unique(row)) for row in changed[:, 0, :, 0].numpy()] == sizes


def filters_of(changed: Pixels) -> Iterator[Pixels]:
    """The sixteen sizes of each of the five filters."""
    for start in range(FIRST["resampling"], FIRST["noise"], 16):
        yield changed[start : start + 16]


def test_resampling_passes_through_bytes_and_differs_between_filters(everything: Pixels, image: Tensor) -> None:
    whole = image[0].double().numpy()
    for kind, changed in zip(FILTERS, filters_of(everything), strict=True):
        side = SIZE * 45 // 100  # the seventh size
        down, up = resize_matrix(kind, SIZE, side), resize_matrix(kind, side, SIZE)
        between = np.clip(np.rint(down @ whole @ down.T), 0, 255)
        apart = np.abs(changed[6] - np.clip(up @ between @ up.T, 0, 255))
        assert apart.max() < 2  # a tie of the first rounding may fall to either side
        assert (apart > 0.501).mean() < 0.01
    distinct = {changed[6].tobytes() for changed in filters_of(everything)}
    assert len(distinct) == 5


# -- noise -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("label", "variance"), [(156, 10), (157, 13), (169, 49)])
def test_noise_has_its_variance_in_every_channel_for_itself(label: int, variance: int, grid: Transformations) -> None:
    grey = torch.full((8, 3, SIZE, SIZE), 128, dtype=torch.uint8)
    residual = grid(grey, torch.full((8,), label), generator()).double() - 128
    assert residual.var().item() == pytest.approx(variance + 1 / 12, rel=0.03)  # rounding adds a twelfth
    assert residual.mean().item() == pytest.approx(0, abs=0.1)
    correlation = np.corrcoef(residual.transpose(0, 1).flatten(1).numpy())
    assert np.abs(correlation - np.eye(3)).max() < 0.03


def test_noise_stays_within_bytes_and_comes_from_the_generator(grid: Transformations) -> None:
    black, label = torch.zeros((1, 3, SIZE, SIZE), dtype=torch.uint8), torch.tensor([169])
    first = grid(black, label, generator(1))
    assert first.max() < 50  # nothing wraps round to 255
    assert torch.equal(first, grid(black, label, generator(1)))
    assert not torch.equal(first, grid(black, label, generator(2)))
