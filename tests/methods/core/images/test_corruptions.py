from __future__ import annotations

import io
from collections import Counter
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage import color, filters
from torch import Tensor

from methods.core.images import corruptions
from methods.core.images.corruptions import KINDS, Corruptions, plasma, sample
from methods.core.images.geometric import random_crop, random_flip

CPU = torch.device("cpu")
NOISE, BLUR, BRIGHTNESS, CONTRAST, ELASTIC, PIXELATE, JPEG, SATURATE = 0, 16, 10, 11, 12, 13, 14, 18
SHOT, IMPULSE, DEFOCUS, FOG, SPECKLE = 1, 2, 3, 9, 15


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(count: int = 4, size: int = 64) -> Tensor:
    """Coloured random images with content at all scales, (count, 3, size, size) bytes."""
    rng = np.random.default_rng(size)
    smooth = ndimage.gaussian_filter(rng.standard_normal((count, 3, size, size)), (0, 0, 3, 3), mode="wrap")
    values = 128 + 50 * smooth / smooth.std() + rng.normal(0, 8, smooth.shape)
    return torch.from_numpy(values.clip(0, 255).astype(np.uint8))


def grey(level: int, size: int = 64, count: int = 1) -> Tensor:
    return torch.full((count, 3, size, size), level, dtype=torch.uint8)


def corrupted(kind: int, pixels: Tensor, severity: int, seed: int = 0) -> Tensor:
    change = Corruptions(pixels.shape[-1], CPU)
    return change.apply(kind, pixels, torch.full((len(pixels),), severity), generator(seed))


def as_image(pixels: Tensor) -> NDArray[np.uint8]:
    """The first image as (H, W, 3)."""
    return pixels[0].permute(1, 2, 0).numpy()


def largest_difference(one: Tensor, other: NDArray[np.float64] | NDArray[np.uint8]) -> float:
    return float(np.abs(as_image(one).astype(float) - other).max())


# -- the draw ----------------------------------------------------------------------------------------


def test_there_are_thirteen_kinds_without_those_held_out_and_those_that_need_photographs_or_edges() -> None:
    held_out, left_out = {4, 5, 6, 7}, {8, 17}
    assert set(KINDS) == set(range(19)) - held_out - left_out


@pytest.mark.parametrize("wrong", [{"kinds": (4,)}, {"kinds": (0, 8)}, {"max_severity": 6}, {"max_severity": 0}])
def test_a_kind_or_severity_that_does_not_exist_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no corruptions"):
        Corruptions(32, CPU, **wrong)  # type: ignore[arg-type]


def test_kinds_and_severities_are_drawn_uniformly_and_at_the_given_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: Counter[int] = Counter()
    severities: Counter[int] = Counter()

    def count(self: Corruptions, kind: int, pixels: Tensor, severity: Tensor, _: torch.Generator) -> Tensor:
        kinds[kind] += len(pixels)
        severities.update(severity.tolist())
        return pixels

    monkeypatch.setattr(Corruptions, "apply", count)
    Corruptions(4, CPU, probability=0.8, max_severity=4)(grey(0, 4, 40_000), generator())
    assert sum(kinds.values()) / 40_000 == pytest.approx(0.8, abs=0.01)
    assert set(kinds) == set(KINDS)
    assert max(kinds.values()) / min(kinds.values()) < 1.15
    assert sorted(severities) == [1, 2, 3, 4]
    assert max(severities.values()) / min(severities.values()) < 1.05


def test_with_probability_zero_nothing_changes() -> None:
    pixels = photographs()
    assert torch.equal(Corruptions(64, CPU, probability=0.0)(pixels, generator()), pixels)


def test_a_batch_keeps_its_shape_and_type_and_the_same_generator_gives_the_same_corruptions() -> None:
    pixels = photographs(40)
    before = pixels.clone()
    change = Corruptions(64, CPU, probability=0.9)
    first, again, other = (change(pixels, generator(seed)) for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == (pixels.shape, torch.uint8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [28, 64])
def test_every_kind_works_on_small_images_and_every_image_gets_its_own_severity(kind: int, size: int) -> None:
    pixels = photographs(1, size).repeat(5, 1, 1, 1)
    result = Corruptions(size, CPU).apply(kind, pixels, torch.arange(1, 6), generator())
    assert (result.shape, result.dtype) == (pixels.shape, torch.uint8)
    first, *_, last = (result.float() - pixels.float()).abs().mean(dim=(1, 2, 3)).tolist()
    assert last > 1
    assert last > first or kind == ELASTIC  # whose first severities bend the whole image


# -- noise -------------------------------------------------------------------------------------------


def test_gaussian_and_speckle_noise_have_their_standard_deviations() -> None:
    flat = grey(128, 128)
    assert float((corrupted(NOISE, flat, 2) / 255).std()) == pytest.approx(0.12, rel=0.02)
    assert float((corrupted(SPECKLE, flat, 2) / 255).std()) == pytest.approx(0.2 * 128 / 255, rel=0.02)
    assert torch.equal(corrupted(SPECKLE, grey(0), 5), grey(0))


def test_shot_noise_counts_photons() -> None:
    photons = 25
    counts = corrupted(SHOT, grey(102, 128), 2).double() / 255 * photons  # 102 / 255 = 0.4
    assert float(counts.mean()) == pytest.approx(0.4 * photons, rel=0.02)
    assert float(counts.var()) == pytest.approx(0.4 * photons, rel=0.05)
    assert float((counts - counts.round()).abs().max()) < photons / 255  # whole numbers, but for the truncation


def test_impulse_noise_turns_its_share_of_values_black_or_white_alike() -> None:
    noisy = corrupted(IMPULSE, grey(100, 128), 5)
    assert set(noisy.unique().tolist()) == {0, 100, 255}
    for level in (0, 255):
        assert float((noisy == level).float().mean()) == pytest.approx(0.27 / 2, abs=0.01)


# -- blur --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "severity", "sigma"), [(224, 3, 3.0), (64, 5, 6 * 64 / 224), (112, 4, 2.0)])
def test_gaussian_blur_is_that_of_scikit_image_with_a_width_that_follows_the_size(
    size: int, severity: int, sigma: float
) -> None:
    pixels = photographs(1, size)
    expected = filters.gaussian(as_image(pixels) / 255, sigma, channel_axis=-1)
    assert largest_difference(corrupted(BLUR, pixels, severity), 255 * expected) <= 1


def literal_disk(radius: int, edge: float) -> NDArray[np.float64]:
    """The kernel of the collection, element by element."""
    reach, taps = (12, 1) if radius <= 8 else (12, 2)
    filled = np.array([[float(x * x + y * y <= radius**2) for x in range(-reach, reach + 1)] for y in range(-12, 13)])
    bell = np.exp([-(offset**2) / (2 * edge**2) for offset in range(-taps, taps + 1)])
    window = np.outer(bell, bell) / bell.sum() ** 2
    return ndimage.convolve(filled / filled.sum(), window, mode="constant")


@pytest.mark.parametrize(("severity", "radius", "edge"), [(1, 3, 0.1), (3, 6, 0.5), (5, 10, 0.5)])
def test_defocus_at_224_pixels_averages_over_a_disk_with_mirrored_borders(
    severity: int, radius: int, edge: float
) -> None:
    pixels = photographs(1, 224)
    kernel = literal_disk(radius, edge)
    channels = [ndimage.convolve(channel.double().numpy(), kernel, mode="mirror") for channel in pixels[0]]
    assert largest_difference(corrupted(DEFOCUS, pixels, severity), np.stack(channels, axis=2)) <= 1


def test_at_half_the_size_a_pixel_of_the_disk_holds_one_whole_and_two_half_pixels_of_the_large_one() -> None:
    large = np.pad(corruptions.disk(8, 0.5, 1.0), 3)
    small = corruptions.disk(8, 0.5, 0.5)
    weights, middle = np.array([0.5, 1.0, 0.5]), len(small) // 2
    for row, column in ((0, 0), (1, -2), (3, 2), (4, 0)):
        y, x = len(large) // 2 + 2 * row, len(large) // 2 + 2 * column
        part = large[y - 1 : y + 2, x - 1 : x + 2]
        assert small[middle + row, middle + column] == pytest.approx(weights @ part @ weights, abs=1e-12)
    assert [corruptions.disk(radius, 0.5, 64 / 224).sum() for radius in (3, 10)] == pytest.approx([1, 1])


# -- colour ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", range(1, 6))
def test_contrast_leaves_a_constant_image_alone(severity: int) -> None:
    assert largest_difference(corrupted(CONTRAST, grey(77), severity), np.full((64, 64, 3), 77.0)) <= 1


def test_contrast_shrinks_differences_to_the_mean_of_each_channel() -> None:
    pixels = photographs(1)
    image = as_image(pixels).astype(float)
    mean = image.mean(axis=(0, 1))
    assert largest_difference(corrupted(CONTRAST, pixels, 3), mean + 0.2 * (image - mean)) <= 1


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_saturate_up_to_severity_three_leaves_a_grey_image_alone(severity: int) -> None:
    assert largest_difference(corrupted(SATURATE, grey(90), severity), np.full((64, 64, 3), 90.0)) <= 1


def test_brightness_three_lifts_grey_128_to_204() -> None:
    assert torch.equal(corrupted(BRIGHTNESS, grey(128), 3), grey(204))  # 128 + 0.3 x 255 = 204.5, truncated


@pytest.mark.parametrize("severity", range(1, 6))
def test_brightness_and_saturate_change_value_and_saturation_in_hsv(severity: int) -> None:
    pixels = photographs(1)
    pixels[:, :, :8] = torch.tensor([0, 255, 40, 200] * 2, dtype=torch.uint8)[:, None]  # grey stripes, black too
    brighter = color.rgb2hsv(as_image(pixels))
    brighter[..., 2] = np.clip(brighter[..., 2] + (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1], 0, 1)
    assert largest_difference(corrupted(BRIGHTNESS, pixels, severity), 255 * color.hsv2rgb(brighter)) <= 1
    factor, offset = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))[severity - 1]
    coloured = color.rgb2hsv(as_image(pixels))
    coloured[..., 1] = np.clip(coloured[..., 1] * factor + offset, 0, 1)
    assert largest_difference(corrupted(SATURATE, pixels, severity), 255 * color.hsv2rgb(coloured)) <= 1


# -- fog ---------------------------------------------------------------------------------------------


def test_fog_brightens_within_the_range_of_the_image() -> None:
    assert torch.equal(corrupted(FOG, grey(0), 5), grey(0))
    foggy = corrupted(FOG, grey(200), 1).double()  # 200 (200 + 255 x 1.5 haze) / (200 + 255 x 1.5)
    assert float(foggy.min()) == pytest.approx(200 * 200 / (200 + 382.5), abs=1.01)
    assert float(foggy.max()) == pytest.approx(200, abs=1.01)
    assert torch.equal(foggy[:, 0], foggy[:, 2])


def test_without_noise_a_point_of_the_plasma_is_the_mean_of_its_four_neighbours() -> None:
    """Noise that falls by 10^12 a level leaves the bare construction after the first one."""
    size = 16
    heights = plasma(size, torch.full((3, 1, 1), 1e6), generator()).double()
    assert (float(heights.min()), float(heights.max())) == (0.0, 1.0)
    for y, x in ((1, 1), (5, 9), (15, 15), (0, 1), (6, 15), (7, 0), (15, 4)):  # not made on a coarser level
        diagonal = y % 2 == 1 and x % 2 == 1
        steps = ((-1, -1), (-1, 1), (1, -1), (1, 1)) if diagonal else ((-1, 0), (1, 0), (0, -1), (0, 1))
        neighbours = torch.stack([heights[:, (y + dy) % size, (x + dx) % size] for dy, dx in steps])
        torch.testing.assert_close(heights[:, y, x], neighbours.mean(dim=0), rtol=0, atol=1e-5)


def test_every_image_has_a_plasma_of_its_own_and_fast_decay_makes_it_smooth() -> None:
    heights = plasma(100, torch.tensor([3.0, 3.0, 1.2])[:, None, None], generator())
    assert heights.shape == (3, 100, 100)
    assert not torch.equal(heights[0], heights[1])
    rough = heights.diff(dim=2).abs().mean(dim=(1, 2))
    assert rough[2] > 3 * rough[:2].max()


# -- geometry ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("whole", "mode"), [(True, "mirror"), (False, "reflect")])
def test_sampling_is_linear_and_mirrors_the_border_like_scipy(whole: bool, mode: Literal["mirror", "reflect"]) -> None:
    image = photographs(1, 16).double() / 255
    positions = torch.from_numpy(np.random.default_rng(0).uniform(-6, 22, (1, 16, 16, 2)))
    found = sample(image, positions, whole=whole)[0]
    coordinates = positions[0].flip(-1).permute(2, 0, 1).numpy()  # (row, column)
    expected = [ndimage.map_coordinates(channel.numpy(), coordinates, order=1, mode=mode) for channel in image[0]]
    np.testing.assert_allclose(found.numpy(), np.stack(expected), atol=1e-9)


def test_elastic_without_jitter_and_amplitude_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ELASTIC_JITTER", "ELASTIC_AMPLITUDE"):
        monkeypatch.setattr(corruptions, name, (0.0,) * 5)
    pixels = photographs()
    assert int((corrupted(ELASTIC, pixels, 1).int() - pixels.int()).abs().max()) <= 1
    assert torch.equal(corrupted(ELASTIC, grey(60), 5), grey(60))


def test_the_affine_part_of_elastic_moves_three_points_by_no_more_than_the_jitter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(corruptions, "ELASTIC_AMPLITUDE", (0.0,) * 5)
    size = 112
    ramp = torch.arange(size, dtype=torch.uint8).expand(8, 3, size, size).clone()  # value = column
    for pixels, axis in ((ramp, 1), (ramp.mT.contiguous(), 0)):
        moved = corrupted(ELASTIC, pixels, 3).double()[:, 0, 16:-16, 16:-16]
        for dim in (1, 2):
            assert float(moved.diff(n=2, dim=dim).abs().max()) <= 2  # affine, but for the truncation
        points = (56 + 37, 56 + 37), (56 - 37, 56 + 37), (56 - 37, 56 - 37)
        for point in points:
            shift = moved[:, point[0] - 16, point[1] - 16] - point[axis]
            assert 0.5 < float(shift.abs().max()) <= 2 * 4.88 / 2 + 1.5


@pytest.mark.parametrize("size", [112, 224])
def test_the_displacement_of_elastic_shrinks_with_the_image(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """White noise of variance 1/3 behind a Gaussian of sigma has the variance 1 / (12 pi sigma^2)."""
    monkeypatch.setattr(corruptions, "ELASTIC_JITTER", (0.0,) * 5)
    slope = 224 // size  # grey levels per pixel, so that equal shares of the side count equally
    ramp = (slope * torch.arange(size)).to(torch.uint8).expand(2, 3, size, size).clone()
    change = (corrupted(ELASTIC, ramp, 4).double() - ramp)[..., 16:-16]
    expected = 17.08 / (np.sqrt(12 * np.pi) * 2.44)
    assert float((change.var() - 1 / 12).sqrt()) == pytest.approx(expected, rel=0.07)


@pytest.mark.parametrize("size", [56, 64, 224])
@pytest.mark.parametrize(("severity", "ratio"), [(1, 0.6), (2, 0.5), (3, 0.4), (4, 0.3), (5, 0.25)])
def test_pixelate_is_the_box_filter_of_pillow_there_and_back(size: int, severity: int, ratio: float) -> None:
    pixels = photographs(1, size)
    small = Image.fromarray(as_image(pixels)).resize((int(size * ratio),) * 2, Image.Resampling.BOX)
    expected = np.asarray(small.resize((size, size), Image.Resampling.BOX))
    assert largest_difference(corrupted(PIXELATE, pixels, severity), expected) <= 1


def test_jpeg_is_that_of_pillow() -> None:
    pixels = photographs(1)
    file = io.BytesIO()
    Image.fromarray(as_image(pixels)).save(file, "JPEG", quality=15)
    assert np.array_equal(as_image(corrupted(JPEG, pixels, 3)), np.asarray(Image.open(file)))


@pytest.mark.parametrize("kind", [JPEG, PIXELATE, BLUR, DEFOCUS, BRIGHTNESS, CONTRAST, SATURATE])
def test_what_draws_no_noise_is_the_same_for_every_generator(kind: int) -> None:
    pixels = photographs()
    assert torch.equal(corrupted(kind, pixels, 2, seed=0), corrupted(kind, pixels, 2, seed=1))


# -- flips and crops ---------------------------------------------------------------------------------


def test_half_of_the_images_are_mirrored_and_the_others_are_left_alone() -> None:
    pixels = photographs(1, 16).repeat(400, 1, 1, 1)
    flipped = (random_flip(pixels, generator()) == pixels.flip(-1)).all(dim=(1, 2, 3))
    kept = (random_flip(pixels, generator()) == pixels).all(dim=(1, 2, 3))
    assert torch.equal(flipped, ~kept)
    assert 160 < int(flipped.sum()) < 240


def test_a_crop_is_a_window_of_its_image_and_every_corner_occurs() -> None:
    count, size = 600, 6
    pixels = torch.arange(8 * 8, dtype=torch.uint8).view(1, 1, 8, 8).repeat(count, 3, 1, 1)
    pixels[:, 1] += 64
    crops = random_crop(pixels, size, generator())
    assert crops.shape == (count, 3, size, size)
    corners = crops[:, 0, 0, 0].long()
    for crop, corner in zip(crops, corners.tolist(), strict=True):
        row, column = divmod(corner, 8)
        assert torch.equal(crop, pixels[0, :, row : row + size, column : column + size])
    assert Counter(corners.tolist()).keys() == {8 * row + column for row in range(3) for column in range(3)}


def test_a_crop_of_the_whole_image_is_the_image() -> None:
    pixels = photographs(2, 16)
    assert torch.equal(random_crop(pixels, 16, generator()), pixels)
