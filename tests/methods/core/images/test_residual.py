"""Noise residuals against hand-computed values, slow restatements and the patterns that cleaning must remove."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
from numpy.typing import NDArray

from methods.core.images.residual import (
    GRAY,
    WINDOWS,
    fourier_wiener,
    noise_share,
    to_gray,
    useful_levels,
    wavelet_residual,
    zero_mean_total,
)

Floats = NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def photographs(count: int = 2, height: int = 64, width: int = 64) -> NDArray[np.uint8]:
    return rng(1).integers(0, 256, (count, 3, height, width), dtype=np.uint8)


def slow_local_energy(band: Floats, side: int) -> Floats:
    """Mean square over a side x side window with zeros outside."""
    half, (height, width) = side // 2, band.shape
    padded = np.pad(band, half)
    windows = [[padded[y : y + side, x : x + side] for x in range(width)] for y in range(height)]
    return np.array([[np.square(window).sum() / side**2 for window in row] for row in windows])


# -- the denoiser ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "levels"), [(32, 2), (48, 2), (56, 3), (64, 3), (96, 3), (112, 4), (128, 4), (224, 4)]
)
def test_no_level_sees_only_its_own_border(size: int, levels: int) -> None:
    assert useful_levels(size) == levels
    assert useful_levels(size, most=1) == 1


def test_a_flat_band_passes_below_the_noise_level_and_is_compressed_above_it() -> None:
    def noise(value: float) -> Floats:
        band = np.full((1, 24, 24), value)
        return (band * noise_share(band, 25.0))[0]

    assert noise(3.0)[12, 12] == pytest.approx(3.0)
    assert noise(10.0)[12, 12] == pytest.approx(2.5)  # 10 x 25 / 100
    assert noise(10.0)[0, 0] == pytest.approx(8.1)  # the 9 x 9 window holds 5 x 5 values: 10 x 25 / (100 x 25 / 81)


@pytest.mark.parametrize(("value", "noise"), [(9.0, 9.0), (18.0, 4.5)])
def test_a_single_impulse_is_judged_by_its_widest_window(value: float, noise: float) -> None:
    band = np.zeros((1, 21, 21))
    band[0, 10, 10] = value
    assert (band * noise_share(band, 1.0))[0, 10, 10] == pytest.approx(noise)


def test_the_share_of_noise_is_the_wiener_weight_of_the_smallest_window_energy() -> None:
    band, variance = rng().normal(0, 3, (11, 13)) * np.linspace(0.1, 4, 13), 4.0
    excess = [np.maximum(slow_local_energy(band, side) - variance, 0) for side in (3, 5, 7, 9)]
    expected = variance / (np.min(excess, axis=0) + variance)
    share = noise_share(band, variance)
    np.testing.assert_allclose(share, expected, rtol=1e-10)
    assert WINDOWS == (3, 5, 7, 9)
    assert ((share > 0) & (share <= 1)).all()


def test_the_residual_is_the_image_minus_the_denoised_image() -> None:
    image, sigma = photographs(1)[0, 0].astype(np.float64), 5.0
    bands = pywt.wavedec2(image, "db4", level=3)
    kept = [tuple(band * (1 - noise_share(band, sigma**2)) for band in level) for level in bands[1:]]
    denoised = pywt.waverec2([bands[0], *kept], "db4")
    np.testing.assert_allclose(wavelet_residual(image, sigma, 3), image - denoised, atol=1e-3)


def test_a_constant_image_leaves_no_residual() -> None:
    assert np.abs(wavelet_residual(np.full((1, 64, 64), 100, dtype=np.uint8), 5.0, 3)).max() < 1e-4


def test_without_noise_there_is_no_residual_and_with_boundless_noise_it_is_all_detail() -> None:
    image = photographs(1)[0].astype(np.float64)
    assert np.abs(wavelet_residual(image, 1e-3, 3)).max() < 1e-3
    bands = pywt.wavedec2(image, "db4", level=3, axes=(-2, -1))
    nothing = [tuple(np.zeros_like(band) for band in level) for level in bands[1:]]
    smooth = pywt.waverec2([bands[0], *nothing], "db4", axes=(-2, -1))
    np.testing.assert_allclose(wavelet_residual(image, 1e6, 3), image - smooth, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 47), (48, 35)])
def test_a_stack_gives_what_its_images_give_one_by_one_at_any_size(height: int, width: int) -> None:
    stack = photographs(3, height, width)
    whole = wavelet_residual(stack, 5.0, 2)
    assert whole.shape == stack.shape
    for image, residual in zip(stack, whole, strict=True):
        for channel, expected in zip(image, residual, strict=True):
            np.testing.assert_allclose(wavelet_residual(channel, 5.0, 2), expected, atol=1e-5)


def test_gray_weighs_red_green_and_blue_in_this_order() -> None:
    assert sum(GRAY) == pytest.approx(1.0, abs=5e-8)
    primaries = np.eye(3).reshape(3, 3, 1, 1)
    np.testing.assert_allclose(to_gray(primaries).ravel(), [0.29893602, 0.58704307, 0.11402090])


# -- zero mean -------------------------------------------------------------------------------------


def tiled(tile: list[list[float]], size: int = 64) -> Floats:
    rows, columns = np.array(tile).shape
    return np.tile(np.array(tile, dtype=np.float64), (size // rows, size // columns))


PATTERNS = {
    "checkerboard of period 2": tiled([[1, -1], [-1, 1]]),
    "vertical stripes of period 4": tiled([[1, 1, -1, -1]]),
    "horizontal stripes of period 4": tiled([[1], [1], [-1], [-1]]),
    "ramp": np.arange(64.0)[:, None] * np.ones(64),
}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_cleaning_removes_what_depends_on_row_column_or_sublattice_alone(pattern: Floats) -> None:
    np.testing.assert_allclose(zero_mean_total(pattern), 0, atol=1e-12)


def test_cleaning_leaves_a_checkerboard_of_period_four_alone() -> None:
    board = tiled([[1, 1, -1, -1]] * 2 + [[-1, -1, 1, 1]] * 2)
    np.testing.assert_allclose(zero_mean_total(board), board, atol=1e-12)


def test_cleaning_twice_is_cleaning_once_and_the_argument_stays_as_it_was() -> None:
    image = photographs(1)[0].astype(np.float32)
    before, once = image.copy(), zero_mean_total(image)
    np.testing.assert_allclose(zero_mean_total(once), once, atol=1e-4)
    np.testing.assert_array_equal(image, before)


def test_rows_and_columns_are_averaged_after_the_mean_of_a_sublattice_was_taken() -> None:
    image = rng(3).normal(size=(8, 8))
    expected = image.copy()
    for y in (0, 1):
        for x in (0, 1):
            part = image[y::2, x::2] - image[y::2, x::2].mean()
            expected[y::2, x::2] = part - part.mean(axis=1)[:, None] - part.mean(axis=0)[None, :]
    np.testing.assert_allclose(zero_mean_total(image), expected, atol=1e-12)


# -- Fourier-domain Wiener filter ------------------------------------------------------------------


def test_the_spectral_filter_is_its_definition() -> None:
    image = rng(4).normal(size=(16, 16)) + 2 * tiled([[1, 1, -1, -1]], 16)
    spectrum, variance = np.fft.fft2(image), image.var(ddof=1)
    magnitude = np.abs(spectrum) / 16
    least = np.min([slow_local_energy(magnitude, side) for side in (3, 5, 7, 9)], axis=0)
    noise = magnitude * variance / np.maximum(variance, least)
    expected = np.fft.ifft2(spectrum * noise / magnitude).real
    np.testing.assert_allclose(fourier_wiener(image), expected, atol=1e-12)


def test_the_spectral_filter_lets_white_noise_pass() -> None:
    noise = rng(5).normal(size=(64, 64))
    assert np.corrcoef(noise.ravel(), fourier_wiener(noise).ravel())[0, 1] > 0.99


def test_the_spectral_filter_flattens_a_peak_of_32_to_below_2() -> None:
    wave = np.cos(2 * np.pi * 8 * np.arange(64) / 64) + rng(6).normal(0, 0.2, (64, 64))
    before, after = (np.abs(np.fft.fft2(image)).max() / 64 for image in (wave, fourier_wiener(wave)))
    assert before == pytest.approx(31.8, abs=0.5)  # amplitude 1/2 at two frequencies, times 64
    assert after == pytest.approx(1.4, abs=0.4)


def test_an_empty_residual_stays_empty_and_its_neighbours_in_the_stack_do_not_change() -> None:
    stack = np.stack([np.zeros((32, 32)), rng(7).normal(size=(32, 32))]).astype(np.float32)
    filtered = fourier_wiener(stack)
    assert filtered.dtype == np.float32
    assert not filtered[0].any()
    np.testing.assert_allclose(filtered[1], fourier_wiener(stack[1]), atol=1e-6)
