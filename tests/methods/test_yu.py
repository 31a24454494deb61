from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import nn

from datasets.errors import UserError
from datasets.types import ImageSet
from methods.core.batches import normalise
from methods.core.network_method import softmax
from methods.core.training import parameter_count
from methods.yu import EqualisedConv, EqualisedLinear, FingerprintNet, Yu, YuConfig, double, flipped, halve, reflect
from tests.methods.data import accuracy, fit, image_set, make_run, textures, unfitted


def network(*args: Any, **settings: Any) -> FingerprintNet:
    torch.manual_seed(0)
    return FingerprintNet(*args, **settings)


# -- sizes (sections 2 and 7 of the survey of the official code, derived by hand) ----------------------


@pytest.mark.parametrize(
    ("classes", "size", "base", "count"),
    [
        (15, 128, 1024, 8_918_927), (5, 128, 1024, 8_913_797), (15, 64, 1024, 8_905_487), (15, 64, 512, 2_229_135),
        (15, 64, 256, 558_671), (15, 32, 512, 2_215_695), (15, 32, 256, 555_407),
    ],
)  # fmt: skip
def test_the_classifier_has_the_weights_of_the_official_one(classes: int, size: int, base: int, count: int) -> None:
    assert parameter_count(network(classes, size, base)) == count


@pytest.mark.parametrize(
    ("analysis", "counts"),
    [
        ("low", {128: 8_918_927, 64: 8_905_487, 32: 8_850_959, 16: 8_631_311, 8: 7_749_647, 4: 4_216_847}),
        ("postpool", {128: 4_216_847, 64: 4_355_567, 32: 4_530_767, 16: 4_936_463, 8: 5_969_039, 4: 8_918_927}),
    ],
)
def test_the_analyses_have_the_weights_of_the_official_ones(analysis: Any, counts: dict[int, int]) -> None:
    built = {side: network(15, 128, analysis=analysis, resolution=side) for side in counts}
    assert {side: parameter_count(net) for side, net in built.items()} == counts


def test_channels_double_as_the_side_halves_and_the_feature_has_512_values() -> None:
    convolutions = [module for module in network(15, 128).main if isinstance(module, EqualisedConv)]
    widths = [(module.weight.shape[1], module.weight.shape[0]) for module in convolutions]
    assert widths == [
        (3, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512),
        (512, 512),
    ]  # fmt: skip
    net = network(15, 64)
    logits, features = net(torch.zeros(2, 3, 64, 64))
    assert (logits.shape, features.shape, net.num_features) == ((2, 15), (2, 512), 512)
    assert network(600, 32, 256).num_features == 600  # never fewer than classes
    assert network(15, 32, 256).num_features == 128


# -- layers ------------------------------------------------------------------------------------------


def test_run_time_scales_are_those_of_he_with_gain_one_in_the_last_layer() -> None:
    net = network(15, 128)
    first = next(module for module in net.main if isinstance(module, EqualisedConv))
    assert first.scale == pytest.approx(0.272166, abs=1e-6)
    assert net.fc.scale == pytest.approx(1 / 64)
    assert net.head.scale == pytest.approx(0.044194, abs=1e-6)


def test_stored_weights_have_unit_deviation_and_biases_are_zero() -> None:
    for module in network(15, 64).modules():
        if isinstance(module, EqualisedConv | EqualisedLinear):
            weight = module.weight.detach()
            assert float(weight.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * weight.numel()))
            assert float(weight.mean()) == pytest.approx(0, abs=4 / math.sqrt(weight.numel()))
            assert not module.bias.any()


def test_there_is_no_normalisation_and_no_dropout() -> None:
    kinds = {type(module) for module in network(3, 32).modules()}
    assert kinds == {FingerprintNet, nn.Sequential, EqualisedConv, EqualisedLinear, nn.LeakyReLU, nn.AvgPool2d}


def test_padding_mirrors_without_repeating_the_border_and_keeps_a_constant_image_constant() -> None:
    x = torch.randn(2, 3, 5, 6)
    assert torch.equal(reflect(x), F.pad(x, (1, 1, 1, 1), mode="reflect"))
    layer = EqualisedConv(2, 1)
    nn.init.constant_(layer.weight, 1.0)
    found = layer(torch.full((1, 2, 6, 6), 0.5))
    torch.testing.assert_close(found, torch.full((1, 1, 6, 6), 18 * 0.5 * math.sqrt(2 / 18)))


def test_a_convolution_is_that_of_its_stored_weights_times_the_scale() -> None:
    layer, x = EqualisedConv(2, 3), torch.randn(1, 2, 4, 4)
    nn.init.normal_(layer.bias)
    weight, padded = layer.weight.detach() * math.sqrt(2 / 18), F.pad(x, (1, 1, 1, 1), mode="reflect")
    for row, column in ((0, 0), (1, 2), (3, 3)):
        window = padded[0, :, row : row + 3, column : column + 3]
        expected = (weight * window).sum(dim=(1, 2, 3)) + layer.bias
        torch.testing.assert_close(layer(x)[0, :, row, column], expected)


def test_the_gradient_of_a_stored_weight_is_the_scale_times_that_of_the_effective_one() -> None:
    layer, x = EqualisedLinear(8192, 4), torch.randn(3, 8192)
    layer(x).square().sum().backward()
    effective = (layer.weight.detach() / 64).requires_grad_()
    F.linear(x, effective).square().sum().backward()
    assert layer.weight.grad is not None
    assert effective.grad is not None
    torch.testing.assert_close(layer.weight.grad, effective.grad / 64)


def test_the_first_step_moves_every_stored_weight_by_the_learning_rate_against_its_gradient() -> None:
    method = Yu(YuConfig(fmap_base=64), make_run())
    method.net = network(3, 32, 64)
    weight = method.net.fc.weight
    before = weight.detach().clone()
    images = torch.rand(8, 3, 32, 32) * 2 - 1
    F.cross_entropy(method.net(images)[0], torch.arange(8) % 3).backward()
    optimiser = method.optimiser()
    assert optimiser.defaults["betas"] == (0.0, 0.99)
    optimiser.step()
    assert weight.grad is not None
    clear = weight.grad.abs() > 1e-5
    assert clear.float().mean() > 0.5
    torch.testing.assert_close((weight - before)[clear], -1e-3 * weight.grad.sign()[clear], rtol=0, atol=2e-6)
    # 0.001 of a stored weight is 1.5625e-5 of an effective one behind 8192 inputs.
    assert network(15, 128).fc.scale * 1e-3 == pytest.approx(1.5625e-5)


def test_activations_leak_a_fifth_and_pools_average() -> None:
    net = network(3, 32, 64)
    leaks = [module for module in net.main if isinstance(module, nn.LeakyReLU)]
    assert leaks[0](torch.tensor([-5.0, 5.0])).tolist() == [-1.0, 5.0]
    pools = [module for module in net.main if isinstance(module, nn.AvgPool2d)]
    assert float(pools[0](torch.tensor([[[1.0, 2.0], [3.0, 6.0]]]))) == 3.0


def test_the_feature_is_the_leaky_dense_layer_that_the_last_one_reads() -> None:
    net, images = network(5, 32, 64), torch.rand(4, 3, 32, 32)
    logits, features = net(images)
    before = net.fc(net.main(images))
    torch.testing.assert_close(features, torch.where(before > 0, before, 0.2 * before))
    torch.testing.assert_close(logits, net.head(features))


def test_a_black_input_with_zero_biases_says_nothing() -> None:
    logits = network(15, 64, 64)(torch.zeros(1, 3, 64, 64))[0].detach()
    assert not logits.any()
    assert softmax(logits.double().numpy()).max() == pytest.approx(1 / 15)
    assert float(F.cross_entropy(logits, torch.tensor([3]))) == pytest.approx(2.708050, abs=1e-6)


# -- frequency bands ---------------------------------------------------------------------------------


def test_reduction_and_enlargement_keep_constants_up_to_the_border() -> None:
    constant = torch.full((1, 3, 16, 16), 0.7)
    torch.testing.assert_close(halve(constant), torch.full((1, 3, 8, 8), 0.7))
    torch.testing.assert_close(double(halve(constant)), constant)


def test_checkerboards_and_one_pixel_stripes_vanish_in_the_reduction() -> None:
    sign = 1.0 - 2.0 * (torch.arange(16) % 2)
    board, stripes = torch.outer(sign, sign), sign.expand(16, 16)
    residual = network(3, 16, 64, analysis="residual", resolution=16)
    for pattern in (board, stripes, stripes.T):
        images = pattern.expand(1, 3, 16, 16)
        assert not halve(images).any()
        assert torch.equal(residual.band(images), images)


def test_an_impulse_at_an_even_position_spreads_by_the_binomial_filter() -> None:
    impulse = torch.zeros(1, 1, 16, 16)
    impulse[0, 0, 8, 8] = 1
    small = halve(impulse)[0, 0]
    assert float(small[4, 4]) == pytest.approx(0.140625)
    assert [float(small[y, x]) for y, x in ((3, 4), (5, 4), (4, 3), (4, 5))] == pytest.approx([0.0234375] * 4)


def test_low_is_repeated_reduction_and_residual_one_level_of_the_pyramid() -> None:
    images = torch.rand(2, 3, 64, 64)
    low = network(3, 64, 64, analysis="low", resolution=16).band(images)
    torch.testing.assert_close(low, halve(halve(images)))
    residual = network(3, 64, 64, analysis="residual", resolution=32).band(images)
    torch.testing.assert_close(residual, halve(images) - double(halve(halve(images))))
    everything = network(3, 64, 64, analysis="low").band(images)
    assert torch.equal(everything, images)


def test_postpool_is_blind_to_what_pools_average_away_but_the_classifier_is_not() -> None:
    """With convolutions only behind the pools, swapping two pixels inside a 4 x 4 block changes nothing."""
    images = torch.rand(1, 3, 32, 32)
    swapped = images.clone()
    swapped[..., 9, 9], swapped[..., 10, 10] = images[..., 10, 10], images[..., 9, 9]
    blind = network(3, 32, 64, analysis="postpool", resolution=32)
    torch.testing.assert_close(blind(images)[0], blind(swapped)[0])
    seeing = network(3, 32, 64)
    assert (seeing(images)[0] - seeing(swapped)[0]).abs().max() > 1e-4


@pytest.mark.parametrize(("side", "field"), [(64, 10), (32, 24), (16, 52)])
def test_a_pixel_of_the_patch_form_reaches_only_the_positions_whose_window_holds_it(side: int, field: int) -> None:
    net = network(3, 128, 64, analysis="patch", resolution=side).double()
    images = torch.rand(1, 3, 128, 128, dtype=torch.float64)
    changed = images.clone()
    changed[0, :, 70, 70] += 0.5
    with torch.no_grad():
        maps = [net.head(F.leaky_relu(net.fc(net.main(x)), 0.2)) for x in (images, changed)]
    touched = (maps[0] != maps[1]).any(dim=1)[0].nonzero()
    stride = 128 // side
    positions = range(side)
    # A window is centred on its cell.
    holding = [p for p in positions if abs(p * stride + (stride - 1) / 2 - 70) < field / 2]
    assert touched.numel() > 0
    assert set(touched.flatten().tolist()) <= set(holding)
    assert len(holding) == pytest.approx(field / stride, abs=1)


def test_the_patch_form_averages_logits_and_features_of_all_positions() -> None:
    net, images = network(4, 32, 64, analysis="patch", resolution=8), torch.rand(2, 3, 32, 32)
    logits, features = net(images)
    maps = F.leaky_relu(net.fc(net.main(images)), 0.2)
    assert maps.shape[2:] == (8, 8)
    torch.testing.assert_close(logits, net.head(maps).mean(dim=(2, 3)))
    torch.testing.assert_close(features, maps.mean(dim=(2, 3)))


# -- the method --------------------------------------------------------------------------------------


def test_bytes_map_to_the_range_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).view(3, 1, 1, 1)
    assert normalise(pixels).flatten().tolist() == pytest.approx([-1, 1, -0.6])


def test_half_of_the_training_images_are_mirrored_and_none_at_inference() -> None:
    pixels = torch.randint(256, (200, 3, 4, 4), dtype=torch.uint8)
    seen = flipped(pixels, torch.Generator().manual_seed(0))
    kept = (seen == normalise(pixels)).all(dim=(1, 2, 3))
    mirrored = (seen == normalise(pixels.flip(-1))).all(dim=(1, 2, 3))
    assert torch.equal(mirrored, ~kept)
    assert 70 < int(mirrored.sum()) < 130
    method = unfitted("yu", make_run())
    assert torch.equal(method.prepare(pixels), normalise(pixels))


@pytest.mark.parametrize("size", [48, 80, 96])
def test_a_side_that_is_no_power_of_two_is_refused_in_one_line(size: int) -> None:
    images = textures(2, 2, size)
    with pytest.raises(UserError, match=f"power of two from 8, not {size} px") as error:
        fit("yu", images, images)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("resolution", [64, 12])
def test_an_impossible_resolution_is_refused_in_one_line(resolution: int) -> None:
    images = textures(2, 2, 32)
    with pytest.raises(UserError, match=rf"yu.resolution={resolution} is refused .* power of two in 4\.\.32"):
        fit("yu", images, images, overrides={"analysis": "low", "resolution": resolution})


@pytest.mark.parametrize("variant", [None, *sorted(name for name in Yu.VARIANTS if name != "residual64")])
def test_every_variant_trains_and_predicts(variant: str | None) -> None:
    images = textures(3, 2, 32)
    key = "yu" if variant is None else f"yu@{variant}"
    method = fit(key, images, images, overrides={"fmap_base": 32, **Yu.VARIANTS.get(variant or "", {})}, max_steps=1)
    assert np.isfinite(method.predict(images).scores).all()


def test_the_best_epoch_is_kept() -> None:
    images = textures(3, 4, 32)
    method = fit("yu", images, images, overrides={"epochs": 4, "steps_per_epoch": 8, "learning_rate": 0.1})
    seen = [float(row["val_accuracy"]) for row in method.run.history.rows]
    assert accuracy(method, images) == max(seen)


def checkerboard_task(size: int = 32) -> ImageSet:
    """128 smooth random images; the second half carries a checkerboard of +-4 grey levels."""
    rng = np.random.default_rng(0)
    white: NDArray[np.float64] = rng.standard_normal((128, size, size, 3))
    smooth = gaussian_filter(white, (0, 4, 4, 0), mode="wrap")
    sign = 1 - 2 * (np.indices((size, size)).sum(axis=0) % 2)
    labels = np.repeat([0, 1], 64)
    pixels = 128 + 40 * smooth / smooth.std() + 4 * sign[..., None] * labels[:, None, None, None]
    return image_set(pixels.round().clip(0, 255).astype(np.uint8), labels, 2)


@pytest.mark.slow
def test_the_full_image_classifier_learns_a_faint_checkerboard() -> None:
    images = checkerboard_task()
    settings = {"fmap_base": 256, "epochs": 4, "steps_per_epoch": 50}
    method = fit("yu", images, images, preset="quick", overrides=settings)
    assert accuracy(method, images) == 1.0


def test_weights_that_cannot_see_a_trace_do_not_learn_it() -> None:
    """The checkerboard lies in the residual; the low band has lost it."""
    images = checkerboard_task()
    shared: dict[str, Any] = {"fmap_base": 64, "batch_size": 16, "epochs": 1, "steps_per_epoch": 40}
    seeing = fit("yu", images, images, overrides={**shared, "analysis": "residual", "resolution": 32})
    assert accuracy(seeing, images) >= 0.95
    blind = fit("yu", images, images, overrides={**shared, "analysis": "low", "resolution": 16})
    assert accuracy(blind, images) <= 0.8
