"""DCT-CNN against hand-computed transforms, an independent DCT, known layer sizes and its training rules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.fft import dctn
from torch import Tensor

from datasets.types import ImageSet
from methods.core.training import parameter_count
from methods.dct_cnn import DctCnn, LogDct, SmallCnn, orthonormal_basis
from tests.methods.data import accuracy, fit, image_set, textures

OFFSET = 1e-12
ZERO = math.log(OFFSET)  # -27.631


def transform(size: int, clip: float | None = None) -> LogDct:
    return LogDct(size, OFFSET, clip)


def stack(*images: Any) -> Tensor:
    """Gray images (N, N) as (B, 3, N, N) with equal channels."""
    gray = torch.tensor(np.array(images), dtype=torch.float64)
    return gray[:, None].repeat(1, 3, 1, 1)


def logarithms(image: Any) -> NDArray[np.float64]:
    return transform(len(image)).logarithms(stack(image))[0, 0].numpy()


def magnitudes(image: Any) -> NDArray[np.float64]:
    return np.exp(logarithms(image)) - OFFSET


def random_bytes(count: int = 4, size: int = 32, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8))


def noise_or_upsampled(per_class: int, seed: int) -> ImageSet:
    """White noise of 32 px, and white noise of 16 px with every pixel doubled."""
    rng = np.random.default_rng(seed)
    plain = rng.integers(0, 256, (per_class, 32, 32, 3), dtype=np.uint8)
    doubled = rng.integers(0, 256, (per_class, 16, 16, 3), dtype=np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    return image_set(np.concatenate([plain, doubled]), np.repeat([0, 1], per_class), 2)


# -- the transform ---------------------------------------------------------------------------------


def test_two_by_two_images_have_the_logarithms_computed_by_hand() -> None:
    np.testing.assert_allclose(
        logarithms([[1, 2], [3, 4]]), [[1.609438, 0.0], [0.693147, -27.631021]], atol=1e-6
    )  # coefficients 5, -1, -2, 0
    np.testing.assert_allclose(logarithms([[4, 0], [0, 0]]), np.full((2, 2), 0.693147), atol=1e-6)


def test_two_by_two_images_are_standardised_as_computed_by_hand() -> None:
    images, log_dct = stack([[1, 2], [3, 4]], [[4, 0], [0, 0]]), transform(2)
    log_dct.fit([images])
    for channel in range(3):
        np.testing.assert_allclose(log_dct.mean[channel], [[1.151293, 0.346574], [0.693147, -13.468937]], atol=1e-6)
        # The coefficient without spread is centred and not scaled.
        np.testing.assert_allclose(log_dct.deviation[channel], [[0.458145, 0.346574], [1, 14.162084]], atol=1e-6)
        np.testing.assert_allclose(log_dct(images)[0, channel], [[1, -1], [0, -1]], atol=1e-6)


def test_one_coefficient_is_standardised_by_its_population_variance() -> None:
    images, log_dct = stack([[4]], [[2]], [[8]]), transform(1)
    log_dct.fit([images])
    assert log_dct.mean[0].item() == pytest.approx(1.386294, abs=1e-6)
    assert log_dct.deviation[0].item() == pytest.approx(0.565952, abs=1e-6)
    np.testing.assert_allclose(log_dct(images)[:, 0].ravel(), [0, -1.224745, 1.224745], atol=1e-6)


def test_the_basis_of_four_is_that_on_paper_and_orthonormal() -> None:
    rows = [
        [0.5, 0.5, 0.5, 0.5],
        [0.653281, 0.270598, -0.270598, -0.653281],
        [0.5, -0.5, -0.5, 0.5],
        [0.270598, -0.653281, 0.653281, -0.270598],
    ]
    np.testing.assert_allclose(orthonormal_basis(4), rows, atol=1e-6)
    basis = orthonormal_basis(48)
    np.testing.assert_allclose(basis @ basis.T, np.eye(48), atol=1e-13)


def test_a_lit_corner_spreads_over_all_frequencies() -> None:
    image = np.zeros((4, 4))
    image[0, 0] = 255
    found = magnitudes(image)
    np.testing.assert_allclose(found[0], [63.75, 83.293389, 63.75, 34.501251], atol=1e-6)
    assert found[1, 1] == pytest.approx(108.828057, abs=1e-6)


def test_a_checkerboard_has_its_energy_in_the_highest_frequency() -> None:
    expected = np.zeros((4, 4))
    expected[0, 0], expected[1, 1], expected[3, 3] = 510, 74.6878, 435.3122
    expected[1, 3] = expected[3, 1] = 180.3122
    np.testing.assert_allclose(magnitudes(np.indices((4, 4)).sum(axis=0) % 2 * 255), expected, atol=1e-4)


@pytest.mark.parametrize(("size", "value", "log"), [(8, 10, math.log(80)), (128, 127, 9.696217)])
def test_a_constant_image_has_one_coefficient_and_exact_zeros(size: int, value: int, log: float) -> None:
    found = logarithms(np.full((size, size), value))
    assert found[0, 0] == pytest.approx(log, abs=1e-6)
    found[0, 0] = ZERO
    assert (found == ZERO).all()


def test_the_transform_is_the_orthonormal_dct_of_every_channel() -> None:
    pixels = random_bytes(2, 32)
    expected = np.log(np.abs(dctn(pixels.double().numpy(), norm="ortho", axes=(-2, -1))) + OFFSET)
    np.testing.assert_allclose(transform(32).logarithms(pixels), expected, atol=1e-9)


def test_energy_brightness_and_contrast_act_on_coefficients_as_theory_says() -> None:
    image = random_bytes(1, 16)[0, 0].double().numpy()
    before, brighter = magnitudes(image), magnitudes(image + 10)
    assert np.square(before).sum() == pytest.approx(np.square(image).sum())
    assert brighter[0, 0] - before[0, 0] == pytest.approx(160)
    np.testing.assert_allclose(brighter.ravel()[1:], before.ravel()[1:], atol=1e-9)
    np.testing.assert_allclose(logarithms(3 * image), logarithms(image) + math.log(3), atol=1e-9)


def test_flips_change_nothing_and_transposition_transposes() -> None:
    image = random_bytes(1, 16)[0, 0].double().numpy()
    found = logarithms(image)
    np.testing.assert_allclose(logarithms(image[::-1]), found, atol=1e-9)
    np.testing.assert_allclose(logarithms(image[:, ::-1]), found, atol=1e-9)
    np.testing.assert_allclose(logarithms(image.T), found.T, atol=1e-9)


def test_zero_coefficients_are_the_same_whatever_batch_they_are_computed_in() -> None:
    doubled = torch.from_numpy(noise_or_upsampled(8, 0).batch(slice(8, None))).permute(0, 3, 1, 2)
    whole = transform(32).logarithms(doubled)
    assert (whole[:, :, 16] == ZERO).all()  # cos(pi (2m + 1) / 2) = 0 where two pixels are alike
    alone = torch.cat([transform(32).logarithms(image[None]) for image in doubled])
    np.testing.assert_allclose(alone, whole, atol=1e-9)


# -- the statistics --------------------------------------------------------------------------------


def test_streamed_statistics_equal_those_of_two_passes_in_any_order() -> None:
    pixels, log_dct = random_bytes(23, 16), transform(16)
    logs = transform(16).logarithms(pixels)
    log_dct.fit(pixels.split(5))
    np.testing.assert_allclose(log_dct.mean, logs.mean(dim=0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(log_dct.deviation, logs.std(dim=0, correction=0), rtol=0, atol=1e-9)
    shuffled = transform(16)
    shuffled.fit(pixels[torch.randperm(23, generator=torch.Generator().manual_seed(0))].split(7))
    np.testing.assert_allclose(shuffled.deviation, log_dct.deviation, atol=1e-9)


def test_training_features_have_mean_zero_and_variance_one_at_every_position() -> None:
    pixels, log_dct = random_bytes(40, 16), transform(16)
    log_dct.fit([pixels])
    features = log_dct(pixels).double()
    assert features.dtype == torch.float64
    np.testing.assert_allclose(features.mean(dim=0), 0, atol=1e-6)
    np.testing.assert_allclose(features.var(dim=0, correction=0), 1, atol=1e-6)


def test_standardised_values_can_be_clipped() -> None:
    log_dct = transform(16, clip=1.5)
    log_dct.fit([random_bytes(20, 16)])
    features = log_dct(random_bytes(4, 16, seed=1))
    assert features.abs().max().item() == 1.5
    assert (features.abs() < 1.5).any()


# -- the network -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "classes", "parameters"),
    [(128, 5, 169_961), (128, 15, 497_651), (64, 5, 47_081), (64, 15, 129_011), (32, 5, 16_361), (32, 15, 36_851)],
)
def test_the_network_has_the_published_number_of_weights(size: int, classes: int, parameters: int) -> None:
    assert parameter_count(SmallCnn(classes, size, 4)) == parameters


def test_sides_that_four_does_not_divide_are_rounded_down_by_the_pooling() -> None:
    network = SmallCnn(2, 33, 4)
    assert network.dense.in_features == 2048
    assert network(torch.zeros(1, 3, 33, 33))[0].shape == (1, 2)


def test_weights_start_glorot_uniform_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    for layer in [m for m in SmallCnn(15, 64, 4).modules() if hasattr(m, "weight")]:
        outputs, inputs, *kernel = layer.weight.shape
        bound = math.sqrt(6 / ((inputs + outputs) * math.prod(kernel)))
        assert 0.9 * bound < layer.weight.abs().max().item() <= bound
        assert not layer.bias.any()


def test_an_untrained_network_is_undecided_on_standardised_input_and_wild_on_raw_coefficients() -> None:
    pixels, labels = random_bytes(64, 32), torch.arange(64) % 15
    log_dct = transform(32)
    log_dct.fit([pixels])
    torch.manual_seed(0)
    network = SmallCnn(15, 32, 4)
    assert F.cross_entropy(network(log_dct(pixels))[0], labels).item() == pytest.approx(2.708, abs=0.2)
    raw = (log_dct.basis @ pixels.double() @ log_dct.basis.T).float()
    assert F.cross_entropy(network(raw)[0], labels).item() > 4


def test_the_feature_is_the_last_map_averaged_over_a_grid() -> None:
    network, coefficients = SmallCnn(2, 32, 2), torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    last = network.convolutions(coefficients)
    logits, features = network(coefficients)
    quarters = [last[:, :, y : y + 4, x : x + 4].mean(dim=(2, 3)) for y in (0, 4) for x in (0, 4)]
    torch.testing.assert_close(features, torch.stack(quarters, dim=2).flatten(1))
    torch.testing.assert_close(logits, network.dense(last.flatten(1)))
    assert SmallCnn(2, 64, 4)(torch.zeros(1, 3, 64, 64))[1].shape == (1, 512)
    network.feature_side = 8
    torch.testing.assert_close(network(coefficients)[1], last.flatten(1))


# -- training --------------------------------------------------------------------------------------


def fitted(train: ImageSet, val: ImageSet, **overrides: Any) -> DctCnn:
    method: DctCnn = fit("dct_cnn", train, val, overrides=overrides)
    return method


def test_upsampled_noise_is_told_from_noise_after_two_epochs() -> None:
    method = fitted(
        noise_or_upsampled(200, 0), noise_or_upsampled(20, 1), learning_rate=1e-3, batch_size=32, epochs=2
    )  # fmt: skip
    assert accuracy(method, noise_or_upsampled(50, 2)) == 1.0


def test_the_optimiser_is_that_of_keras_at_a_constant_rate() -> None:
    method = fitted(textures(2, 4, 32), textures(2, 4, 32, 1), epochs=2, learning_rate=1e-3)
    group = method.optim.param_groups[0]
    assert (group["lr"], group["eps"], group["betas"], group["weight_decay"]) == (1e-3, 1e-7, (0.9, 0.999), 0)
    assert method.sched is None


def test_training_stops_when_the_validation_loss_stops_falling_and_its_best_weights_come_back() -> None:
    train, val = textures(4, 12, 32), textures(4, 6, 32, 1)
    shuffled = np.random.default_rng(0).permutation(len(train))
    unlearnable = image_set(train.batch(slice(None)), train.labels[shuffled], 4)  # learnt by heart, at best
    method = fitted(unlearnable, val, epochs=40, patience=3)
    losses = [float(row["val_loss"]) for row in method.run.history.rows]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3 < 40
    probabilities = method.predict(val).scores[np.arange(len(val)), val.labels]
    assert -np.log(probabilities).mean() == pytest.approx(losses[best], rel=1e-6)


def test_a_network_that_images_do_not_reach_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = textures(2, 24, 32), textures(2, 8, 32, 1)
    draw, drawn = SmallCnn.draw, []

    def draw_dead_first(network: SmallCnn) -> None:
        draw(network)
        drawn.append(len(drawn))
        if len(drawn) <= 2:
            torch.nn.init.constant_(network.convolutions[0].bias, -1e3)  # type: ignore[arg-type]

    monkeypatch.setattr(SmallCnn, "draw", draw_dead_first)
    method = fitted(train, val, epochs=8)
    assert [row["redraws"] for row in method.run.history.rows][:4] == [0, 1, 2, 2]
    assert accuracy(method, val) == 1.0
    steps = method.optim.state[method.net.cnn.dense.bias]["step"]
    assert steps == 6 * (len(method.run.history.rows) - 2)  # Adam's moments start anew as well
    drawn.clear()
    stuck = fitted(train, val, epochs=4, redraws=0)
    assert [row["ce"] for row in stuck.run.history.rows] == pytest.approx([math.log(2)] * 4, abs=0.01)


def test_a_network_that_learns_slowly_is_left_alone() -> None:
    method = fitted(textures(3, 8, 32), textures(3, 4, 32, 1), learning_rate=1e-5, epochs=3)
    rows = method.run.history.rows
    assert rows[-1]["ce"] == pytest.approx(math.log(3), abs=0.1)  # so the loss alone would be no sign
    assert [row["redraws"] for row in rows] == [0, 0, 0]


def test_images_that_are_judged_do_not_alter_the_statistics() -> None:
    method = fitted(textures(2, 8, 32), textures(2, 4, 32, 1), epochs=1)
    before, judged = method.net.log_dct.mean.clone(), textures(2, 8, 32, 2)
    first, second = method.predict(judged), method.predict(judged)
    np.testing.assert_array_equal(first.scores, second.scores)
    assert torch.equal(method.net.log_dct.mean, before)
