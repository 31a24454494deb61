"""Spectrum: averages of a DCT spectrum by hand, and what a linear classifier on them can tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dct

from datasets.types import ImageSet
from methods.spectrum import COLOUR, FLOOR, NEVER, Pooling, log_spectra, mean_matrix
from tests.methods.data import make_run, textures, unfitted


def image_set(pixels: np.ndarray, labels: list[int], classes: int) -> ImageSet:
    names = ("real", *(f"generator-{number}" for number in range(1, classes)))
    ids = np.array([f"image-{number}" for number in range(len(pixels))])
    return ImageSet(pixels.astype(np.uint8), np.arange(len(pixels)), np.array(labels), names, ids)


def test_a_flat_image_has_a_constant_coefficient_and_nothing_else() -> None:
    # x / 127.5 - 1 of 255 is 1; the orthonormal DCT of a constant c has c N in the corner.
    (spectrum,) = log_spectra(np.full((1, 8, 8, 3), 255, dtype=np.uint8))
    assert spectrum[0, 0, 0] == pytest.approx(np.log(8 + FLOOR))
    assert spectrum[0].ravel()[1:] == pytest.approx(np.full(63, np.log(FLOOR)))
    assert spectrum[1:] == pytest.approx(np.full((2, 8, 8), np.log(FLOOR)))  # gray has no colour difference


def test_a_spectrum_is_that_of_two_one_dimensional_transforms() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    gray = (pixels / 127.5 - 1) @ COLOUR[0]
    by_rows = dct(dct(gray, norm="ortho", axis=1), norm="ortho", axis=2)
    np.testing.assert_allclose(log_spectra(pixels)[:, 0], np.log(np.abs(by_rows) + FLOOR))


def test_the_weights_of_a_mean_add_up_to_one_for_every_group() -> None:
    matrix = mean_matrix(np.array([[0, 0], [7, 0]]))
    assert matrix.tolist() == [[1 / 3, 0], [1 / 3, 0], [0, 1], [1 / 3, 0]]


def test_rings_rays_and_blocks_average_what_their_names_say() -> None:
    size = 32
    u, v = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    averages = Pooling(size)(np.stack([np.hypot(u, v), u * 1.0])[None])[0].reshape(2, -1)
    rings, rays, blocks = averages[0, :size], averages[1, size : size + 16], averages[1, size + 16 :]
    assert rings[0] == 0 and (np.diff(rings) > 0).all()
    assert rings[5] == pytest.approx(np.hypot(u, v)[np.hypot(u, v).astype(int) == 5].mean())
    assert rays[0] < 3 and rays[-1] > 10  # from horizontal frequencies, where u is small, to vertical ones
    assert blocks.reshape(16, 16)[:, 0] == pytest.approx(np.arange(16) * 2 + 0.5)


@pytest.mark.parametrize("size", [8, 16, 32, 128])
def test_every_size_has_averages_without_a_gap(size: int) -> None:
    averages = Pooling(size)(np.ones((2, 3, size, size)))
    assert averages.shape == (2, 3 * (size + 16 + min(size, 16) ** 2)) or size == 8
    np.testing.assert_allclose(averages, 1)


def trace(count: int, factor: int, seed: int) -> np.ndarray:
    """Noise of any brightness and contrast, up-sampled by repeating pixels."""
    rng = np.random.default_rng(seed)
    level, contrast = rng.uniform(80, 170, (count, 1, 1, 1)), rng.uniform(5, 25, (count, 1, 1, 1))
    small = level + contrast * rng.standard_normal((count, 32 // factor, 32 // factor, 3))
    return np.clip(small.repeat(factor, axis=1).repeat(factor, axis=2), 0, 255)


def traces(seed: int, count: int = 40) -> ImageSet:
    pixels = np.concatenate([trace(count, factor, seed + factor) for factor in (1, 2, 4)])
    return image_set(pixels, [0] * count + [1] * count + [2] * count, 3)


def test_it_names_the_up_sampling_of_noise_of_any_brightness_and_contrast() -> None:
    method = unfitted("spectrum", make_run())
    method.fit(traces(0), traces(100))
    prediction = method.predict(traces(200))
    assert (prediction.scores.argmax(axis=1) == traces(200).labels).mean() > 0.95
    np.testing.assert_allclose(prediction.scores.sum(axis=1), 1)
    np.testing.assert_array_equal(prediction.confidence, prediction.scores.max(axis=1))
    np.testing.assert_allclose(method.predict(traces(0)).features.mean(axis=0), 0, atol=1e-5)


@pytest.mark.parametrize("present", [(0, 2), (0, 1, 2)])
def test_a_class_without_training_images_is_never_named(present: tuple[int, ...]) -> None:
    every, method = textures(4, 12, 32, seed=0), unfitted("spectrum", make_run())
    some = every.take(np.isin(every.labels, present))
    method.fit(some, some)
    prediction = method.predict(every)
    assert set(prediction.scores.argmax(axis=1)) <= set(present)
    absent = [label for label in range(4) if label not in present]
    assert prediction.scores[:, absent].max() < 1e-6
    assert (method.bias[absent] == NEVER).all()
    assert (method.predict(some).scores.argmax(axis=1) == some.labels).mean() > 0.9


def test_the_strongest_penalty_of_equals_is_taken() -> None:
    method = unfitted("spectrum", make_run(), overrides={"inverse_penalties": (1e-2, 1e-1)})
    method.fit(traces(0), traces(100))
    (row,) = method.run.history.rows
    assert (row["inverse_penalty"], row["val_accuracy"]) == (1e-2, 1.0)


def test_the_penalty_with_the_best_validation_accuracy_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    method = unfitted("spectrum", make_run(), overrides={"inverse_penalties": (1e-3, 1e-2, 1e-1)})
    real = method.regressed

    def useless_but_for_one(rows, labels, penalty):  # type: ignore[no-untyped-def]
        weights, bias = real(rows, labels, penalty)
        return (weights, bias) if penalty == 1e-2 else (0 * weights, 0 * bias)

    monkeypatch.setattr(method, "regressed", useless_but_for_one)
    method.fit(traces(0), traces(100))
    (row,) = method.run.history.rows
    assert row["inverse_penalty"] == 1e-2
    assert (method.predict(traces(200)).scores.argmax(axis=1) == traces(200).labels).mean() > 0.95
