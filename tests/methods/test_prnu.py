"""PRNU against hand-computed values, the closed form of its correlations and a slow restatement of its weighting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from datasets.errors import UserError
from datasets.types import ImageSet
from methods.core.images.residual import to_gray
from methods.core.run import Progress
from methods.prnu import TRUST, Prnu, PrnuConfig, RunningSums, log_spectrum, unit_rows, unsaturated
from tests.methods.data import Stop, accuracy, fit, image_set, make_run, textures, unfitted
from tests.methods.states import differences

Floats = NDArray[np.float64]


def ncc(first: Any, second: Any) -> Floats:
    """Correlations of all rows of one stack with all rows of another."""
    return unit_rows(np.atleast_2d(first)) @ unit_rows(np.atleast_2d(second)).T


def signs(seed: int, size: int = 64) -> Floats:
    return np.random.default_rng(seed).choice([-1.0, 1.0], (size, size))


def photographs(patterns: list[Floats], per_class: int, seed: int) -> ImageSet:
    """Gray 64-px images of smooth content with a pattern and a little white noise, class by class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(patterns)), per_class)
    smooth = gaussian_filter(rng.normal(size=(len(labels), 64, 64)), sigma=(0, 3, 3))
    smooth *= 40 / smooth.std(axis=(1, 2), keepdims=True)
    gray = 128 + smooth + rng.normal(0, 2, smooth.shape) + np.stack(patterns)[labels]
    pixels = np.clip(np.rint(gray), 0, 255).astype(np.uint8)[..., None].repeat(3, axis=3)
    return image_set(pixels, labels, len(patterns))


def channels(stack: Floats) -> NDArray[np.float32]:
    """(B, H, W) to three equal channels."""
    return np.repeat(stack[:, None], 3, axis=1).astype(np.float32)


def fitted(train: ImageSet, val: ImageSet, key: str = "prnu", **overrides: Any) -> Prnu:
    method: Prnu = fit(key, train, val, overrides=overrides)
    return method


# -- normalised correlation ------------------------------------------------------------------------


def test_the_correlation_of_three_values_is_that_on_paper() -> None:
    assert ncc([1.0, 2, 3], [1.0, 2, 4]).item() == pytest.approx(0.981981, abs=1e-6)


def test_correlation_is_one_with_itself_and_ignores_offset_and_scale() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 500))
    assert ncc(x, x).item() == pytest.approx(1)
    assert ncc(x, -x).item() == pytest.approx(-1)
    assert ncc(3 * x + 7, y).item() == pytest.approx(ncc(x, y).item())
    assert abs(ncc(x, 2 * x + 1e-3 * y).item()) <= 1 + 1e-6


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6])
def test_a_constant_correlates_with_nothing(value: float) -> None:
    assert ncc(np.full(500, value), np.random.default_rng(0).normal(size=500)).item() == 0


# -- fingerprints ----------------------------------------------------------------------------------


def test_own_and_foreign_correlations_follow_from_the_signal_to_noise_ratio() -> None:
    """rho = 1/16, D = 4096, N = 64: sqrt(rho / (1 + rho)) sqrt(N rho / (1 + N rho)) and its second factor."""
    pattern, rng = signs(0), np.random.default_rng(1)
    train, test = (pattern + rng.normal(0, 4, (count, 64, 64)) for count in (64, 64))
    sums = RunningSums(1, 64, "mean")
    sums.add(channels(train), np.zeros((64, 3, 64, 64), np.uint8), np.zeros(64, np.int64))
    fingerprint = to_gray(sums.estimate())
    assert ncc(test.reshape(64, -1), fingerprint).mean() == pytest.approx(0.2169, abs=0.02)
    assert ncc(fingerprint.reshape(1, -1), pattern.reshape(1, -1)).item() == pytest.approx(0.8944, abs=0.03)
    unrelated = ncc(rng.normal(size=(64, 4096)), fingerprint)
    assert unrelated.mean() == pytest.approx(0, abs=0.02)
    assert unrelated.std() == pytest.approx(1 / 64, rel=0.3)


def test_an_image_that_is_part_of_a_mean_of_noise_seems_to_match_it() -> None:
    noise = np.random.default_rng(2).normal(size=(64, 64, 64))
    sums = RunningSums(1, 64, "mean")
    sums.add(channels(noise), np.zeros((64, 3, 64, 64), np.uint8), np.zeros(64, np.int64))
    mean = to_gray(sums.estimate())[0, 0]
    assert np.mean([ncc(own.ravel(), mean.ravel()) for own in noise]) == pytest.approx(1 / np.sqrt(64), abs=0.01)
    without = [ncc(own.ravel(), ((64 * mean - own) / 63).ravel()) for own in noise]
    assert np.mean(without) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("kind", ["mean", "likelihood"])
def test_a_fingerprint_depends_neither_on_the_chunks_nor_on_the_order_of_the_images(kind: Any) -> None:
    rng = np.random.default_rng(3)
    residuals = rng.normal(size=(20, 3, 16, 16)).astype(np.float32)
    pixels = rng.integers(0, 256, (20, 3, 16, 16), dtype=np.uint8)
    labels = rng.integers(0, 3, 20)

    def estimate(*chunks: Any) -> Floats:
        sums = RunningSums(3, 16, kind)
        for rows in chunks:
            sums.add(residuals[rows], pixels[rows], labels[rows])
        return sums.estimate()

    whole = estimate(slice(None))
    np.testing.assert_allclose(estimate(slice(0, 7), slice(7, None)), whole, atol=1e-5)
    np.testing.assert_allclose(estimate(rng.permutation(20)), whole, atol=1e-5)
    if kind == "mean":
        np.testing.assert_allclose(whole[1], residuals[labels == 1].mean(axis=0), atol=1e-5)


def test_intensities_are_trusted_in_proportion_and_less_and_less_near_saturation() -> None:
    assert TRUST[[0, 126, 252]].tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(TRUST[[253, 254, 255]], [0.846, 0.513, 0.223], atol=5e-4)


def test_the_weighted_fingerprint_is_its_definition() -> None:
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 200, (3, 3, 8, 8), dtype=np.uint8)  # nothing is saturated
    residuals = rng.normal(size=pixels.shape).astype(np.float32)
    sums = RunningSums(2, 8, "likelihood")
    sums.add(residuals, pixels, np.array([1, 1, 1]))
    expected = (residuals * (pixels / 255)).sum(axis=0) / (1 + ((pixels / 252) ** 2).sum(axis=0))
    np.testing.assert_allclose(sums.estimate()[1], expected, rtol=1e-5, atol=1e-6)
    assert not sums.estimate()[0].any()


def test_saturated_pixels_are_the_brightest_ones_with_an_equal_neighbour() -> None:
    image = np.full((1, 3, 6, 6), 100, dtype=np.uint8)
    image[0, 0, 1, 1:3] = 255  # neighbours: saturated
    image[0, 0, 4, 4] = 255  # alone: not
    image[0, 1, 2:4, 2] = 250  # bright, but no more than 250
    image[0, 2, [2, 3], 5] = 251
    saturated = np.argwhere(~unsaturated(image)[0]).tolist()
    assert saturated == [[0, 1, 1], [0, 1, 2], [2, 2, 5], [2, 3, 5]]


# -- the whole method ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_patterns() -> list[Floats]:
    return [3 * signs(10), 3 * signs(11)]


@pytest.fixture(scope="module")
def two_classes(two_patterns: list[Floats]) -> Prnu:
    return fitted(photographs(two_patterns, 50, seed=0), photographs(two_patterns, 10, seed=1))


def test_two_generators_with_random_patterns_are_told_apart(two_classes: Prnu, two_patterns: list[Floats]) -> None:
    test = photographs(two_patterns, 20, seed=2)
    prediction = two_classes.predict(test)
    assert (prediction.scores.argmax(axis=1) == test.labels).all()
    own = prediction.scores[np.arange(len(test)), test.labels]
    assert own.mean() == pytest.approx(0.78, abs=0.05)
    np.testing.assert_array_equal(prediction.confidence, prediction.scores.max(axis=1))


def test_images_without_a_pattern_are_unknown(two_classes: Prnu, two_patterns: list[Floats]) -> None:
    known = two_classes.predict(photographs(two_patterns, 20, seed=2)).confidence
    plain = two_classes.predict(photographs([np.zeros((64, 64))], 40, seed=3)).confidence
    assert plain.mean() == pytest.approx(0.01, abs=0.01)
    assert plain.max() < known.min()


def test_mirrored_images_have_lost_their_fingerprint(two_classes: Prnu, two_patterns: list[Floats]) -> None:
    test = photographs(two_patterns, 10, seed=2)
    mirrored = image_set(test.batch(slice(None))[:, :, ::-1], test.labels, 2)
    own = two_classes.predict(mirrored).scores[np.arange(len(test)), test.labels]
    assert np.abs(own).max() < 0.1


def test_an_image_without_texture_correlates_with_nothing(two_classes: Prnu) -> None:
    flat = image_set(np.full((2, 64, 64, 3), 100, dtype=np.uint8), [0, 1], 2)
    prediction = two_classes.predict(flat)
    assert not prediction.scores.any()
    assert not prediction.confidence.any()


def test_one_more_class_does_not_change_the_scores_of_the_others(two_classes: Prnu, two_patterns: list[Floats]) -> None:
    two, val = photographs(two_patterns, 50, seed=0), photographs(two_patterns, 10, seed=1)
    third = photographs([3 * signs(12)], 10, seed=4)
    pixels = np.concatenate([two.batch(slice(None)), third.batch(slice(None))])
    more = fitted(image_set(pixels, np.concatenate([two.labels, third.labels + 2]), 3), val)
    np.testing.assert_allclose(more.predict(val).scores[:, :2], two_classes.predict(val).scores, atol=1e-9)


def test_camera_cleaning_destroys_a_periodic_fingerprint_that_the_plain_mean_keeps() -> None:
    board = np.tile([[1.0, -1], [-1, 1]], (32, 32))
    sets = [photographs([board, 0 * board, signs(13)], count, seed) for seed, count in enumerate((40, 10, 20))]
    train, val, test = sets
    plain = fitted(train, val).predict(test).scores[:20, 0]
    cleaned = fitted(train, val, "prnu@toolbox").predict(test).scores[:20, 0]
    assert plain.mean() > 0.1
    assert abs(cleaned.mean()) < 0.03


@pytest.mark.parametrize("key", ["prnu", "prnu@toolbox", "prnu@searched"])
def test_every_variant_learns_planted_patterns_in_gray_and_in_colour(key: str) -> None:
    train, val = (textures(3, 16, 32, seed, amplitude=0.0) for seed in (0, 1))
    for colour in ("gray", "rgb"):
        method = fitted(train, val, key, colour=colour)
        assert accuracy(method, val) >= 0.9
        assert method.fingerprints.shape == (3, 1 if colour == "gray" else 3, 32, 32)
        assert method.trainable() == method.fingerprints.size


# -- features --------------------------------------------------------------------------------------


def test_features_are_correlations_in_units_of_their_spread(two_classes: Prnu, two_patterns: list[Floats]) -> None:
    prediction = two_classes.predict(photographs(two_patterns, 3, seed=2))
    np.testing.assert_allclose(prediction.features, prediction.scores * 64, rtol=1e-6)  # sqrt(64 x 64)


def test_the_spectrum_can_be_appended_to_the_feature(two_patterns: list[Floats]) -> None:
    train, val = photographs(two_patterns, 4, seed=0), photographs(two_patterns, 2, seed=1)
    assert fitted(train, val, spectrum=8).predict(val).features.shape == (4, 2 + 64)
    assert fitted(train, val, spectrum=16, colour="rgb").predict(val).features.shape == (4, 2 + 256)


def test_the_pooled_spectrum_is_the_mean_log_magnitude_of_its_tiles() -> None:
    residual = np.random.default_rng(5).normal(size=(2, 1, 32, 32))
    magnitude = np.abs(np.fft.fft2(residual[1, 0])) / 32
    pooled = log_spectrum(residual, 8)
    assert pooled.shape == (2, 64)
    assert pooled[1, 8 * 2 + 3] == pytest.approx(np.log(magnitude[8:12, 12:16]).mean())
    assert np.isfinite(log_spectrum(np.zeros((1, 1, 32, 32)), 8)).all()


# -- fitting ---------------------------------------------------------------------------------------


def test_the_sigma_with_the_best_validation_accuracy_is_used() -> None:
    train, val = (textures(3, 8, 32, seed, sensor=1.5) for seed in (0, 1))
    method = fitted(train, val, sigmas=(0.1, 5.0, 1.0))
    rows = method.run.history.rows
    best = max(rows, key=lambda row: float(row["val_accuracy"]))  # the first of equals
    assert [row["sigma"] for row in rows] == [0.1, 5.0, 1.0]
    assert method.sigma == best["sigma"]
    assert accuracy(method, val) == best["val_accuracy"]
    alone = fitted(train, val, sigmas=(method.sigma,))
    assert differences(method.state(), alone.state()) == []


def test_a_search_that_is_stopped_and_resumed_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    train, val = (textures(3, 8, 32, seed, sensor=1.5) for seed in (0, 1))

    def stop(progress: Progress) -> None:
        raise Stop

    def start(report: Any) -> Prnu:
        run = make_run(tmp=tmp_path, report=report, save_every_seconds=0)
        method: Prnu = unfitted("prnu@searched", run)
        method.fit(train, val)
        return method

    for _ in range(3):
        with pytest.raises(Stop):
            start(stop)
    resumed = start(stop)  # nothing is left to do
    assert differences(resumed.state(), fitted(train, val, "prnu@searched").state()) == []


def test_only_the_first_images_of_every_class_are_used_when_a_limit_is_set() -> None:
    every, val = textures(3, 12, 32, 0), textures(3, 4, 32, 1)
    few = every.take(np.flatnonzero(np.arange(36) % 12 < 5))
    limited = fitted(every, val, images_per_class=5)
    assert differences(limited.state(), fitted(few, val).state()) == []


def test_images_of_another_size_are_refused_in_one_line(two_classes: Prnu) -> None:
    with pytest.raises(UserError, match=r"32-px images with fingerprints of 64 px; fit it again") as refusal:
        two_classes.predict(textures(2, 1, 32))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("wrong", [{"sigmas": ()}, {"sigmas": (0.0,)}, {"levels": 0}, {"spectrum": 7}])
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PrnuConfig(**wrong)
