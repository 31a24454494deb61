"""The DCT against SciPy and hand-computed values; the classifier against its published table."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.fft import dctn
from torch import Tensor, nn

from methods.core.networks.simple_cnn import Dct2d, SimpleCnn

# Weights of convolution and normalisation, layer by layer, of the released classifier at 128 px.
CONV_WEIGHTS = (3_136, 36_928, 131_200, 147_584, 524_544, 590_080, 2_097_664, 2_359_808)
NORM_WEIGHTS = (128, 128, 256, 256, 512, 512, 1_024, 1_024)
KERNELS = ((4, 2, 1), (3, 1, 1)) * 4  # size, stride, padding


def plane(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[None, None]


# -- DCT ---------------------------------------------------------------------------------------------


def test_the_dct_of_two_by_two_pixels_is_that_of_paper_and_pencil() -> None:
    found = Dct2d(2)(plane([[1, 2], [3, 5]]))[0, 0]
    np.testing.assert_allclose(found, [[44, -8.485281], [-14.142136, 2]], atol=1e-5)


def test_the_dct_of_a_ramp_has_energy_in_its_first_row_and_column_only() -> None:
    expected = np.zeros((4, 4))
    expected[0] = 480, -50.469152, 0, -3.586732
    expected[1:, 0] = -201.87661, 0, -14.346929
    found = Dct2d(4)(plane(np.arange(16).reshape(4, 4)))[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("size", [2, 16, 33, 64, 128])
def test_the_dct_agrees_with_scipy_on_every_channel(size: int) -> None:
    images = np.random.default_rng(size).uniform(-1, 1, (2, 3, size, size))
    found = Dct2d(size)(torch.tensor(images).float()).numpy()
    expected = dctn(images, type=2, norm=None, axes=(-2, -1))
    np.testing.assert_allclose(found, expected, atol=1e-4 * size, rtol=1e-5)


def test_the_constant_coefficient_of_a_white_image_exceeds_half_precision() -> None:
    constant = Dct2d(128)(torch.ones(1, 3, 128, 128))[0, :, 0, 0]
    np.testing.assert_allclose(constant, 65_536, rtol=1e-5)
    assert constant.min() > torch.finfo(torch.float16).max


def test_the_dct_is_computed_in_single_precision_whatever_the_surroundings() -> None:
    transform, images = Dct2d(16), torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = transform(images)
    assert found.dtype == torch.float32
    assert torch.equal(found, transform(images))


def test_gradients_flow_through_the_dct_by_its_transpose() -> None:
    images = torch.zeros(1, 1, 4, 4, requires_grad=True)
    Dct2d(4)(images)[0, 0, 1, 2].backward()
    n = np.arange(4)
    wave = 4 * np.outer(np.cos(np.pi * (2 * n + 1) / 8), np.cos(np.pi * 2 * (2 * n + 1) / 8))
    assert images.grad is not None
    np.testing.assert_allclose(images.grad[0, 0], wave, atol=1e-6)


# -- classifier --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released() -> SimpleCnn:
    """The network at full size."""
    return SimpleCnn(num_classes=15, image_size=128)


def test_the_full_network_has_the_published_number_of_weights(released: SimpleCnn) -> None:
    assert sum(weight.numel() for weight in released.parameters()) == 22_680_207


def test_every_layer_has_the_weights_and_the_kernel_of_the_published_table(released: SimpleCnn) -> None:
    counts: dict[type, list[int]] = defaultdict(list)
    for module in released.modules():
        if own := [weight.numel() for weight in module.parameters(recurse=False)]:
            counts[type(module)].append(sum(own))
    assert tuple(counts[nn.Conv2d]) == CONV_WEIGHTS
    assert tuple(counts[nn.BatchNorm2d]) == NORM_WEIGHTS
    assert counts[nn.Linear] == [16_777_728, 7_695]
    convolutions = [module for module in released.modules() if isinstance(module, nn.Conv2d)]
    assert tuple((conv.kernel_size[0], conv.stride[0], conv.padding[0]) for conv in convolutions) == KERNELS


def test_the_state_has_the_names_of_the_released_weights(released: SimpleCnn) -> None:
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {f"main.{i}.main.0.{part}" for i in range(8) for part in ("weight", "bias")}
    expected |= {f"main.{i}.main.1.{part}" for i in range(8) for part in norm}
    expected |= {f"{layer}.{part}" for layer in ("fc", "classification_head.1") for part in ("weight", "bias")}
    assert set(released.state_dict()) == expected


def test_normalisation_activation_and_dropout_have_the_official_constants(released: SimpleCnn) -> None:
    by_type: dict[type, set[tuple[Any, ...]]] = defaultdict(set)
    for module in released.modules():
        if isinstance(module, nn.BatchNorm2d):
            by_type[nn.BatchNorm2d].add((module.eps, module.momentum, module.affine))
        elif isinstance(module, nn.LeakyReLU):
            by_type[nn.LeakyReLU].add((module.negative_slope,))
        elif isinstance(module, nn.Dropout):
            by_type[nn.Dropout].add((module.p,))
    assert by_type == {nn.BatchNorm2d: {(1e-5, 0.1, True)}, nn.LeakyReLU: {(0.2,)}, nn.Dropout: {(0.2,)}}


@pytest.mark.parametrize(("size", "width", "classes"), [(16, 1, 2), (32, 8, 3), (48, 5, 15), (64, 4, 2), (128, 2, 15)])
def test_any_width_and_any_side_divisible_by_sixteen_will_do(size: int, width: int, classes: int) -> None:
    net = SimpleCnn(classes, size, width)
    logits, feature = net(torch.zeros(2, 3, size, size))
    assert (logits.shape, feature.shape) == ((2, classes), (2, 8 * width))
    assert net.num_features == 8 * width
    assert net.fc.in_features == 8 * width * (size // 16) ** 2


def test_another_side_is_refused() -> None:
    with pytest.raises(ValueError, match="image side 40 is not a multiple of 16"):
        SimpleCnn(2, 40)


def tiny(**options: Any) -> SimpleCnn:
    """A small network whose batch statistics have moved."""
    torch.manual_seed(0)
    net = SimpleCnn(3, 16, 2, **options)
    for seed in range(3):
        net(images(seed))
    return net.eval()


def images(seed: int = 9, count: int = 6) -> Tensor:
    return torch.rand((count, 3, 16, 16), generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("input_data", ["dct", "img"])
def test_the_forward_pass_is_the_published_one_restated_layer_by_layer(input_data: str) -> None:
    net = tiny(input_data=input_data)
    state, x = net.state_dict(), images()
    if input_data == "dct":
        x = torch.tensor(dctn(x.double().numpy(), type=2, axes=(-2, -1))).float()
    for i, (_, stride, padding) in enumerate(KERNELS):
        conv, norm = f"main.{i}.main.0", f"main.{i}.main.1"
        x = F.conv2d(x, state[f"{conv}.weight"], state[f"{conv}.bias"], stride, padding)
        mean, var = (state[f"{norm}.running_{what}"][:, None, None] for what in ("mean", "var"))
        x = (x - mean) / torch.sqrt(var + 1e-5)
        x = x * state[f"{norm}.weight"][:, None, None] + state[f"{norm}.bias"][:, None, None]
        x = torch.where(x > 0, x, 0.2 * x)
    feature = x.reshape(len(x), -1) @ state["fc.weight"].T + state["fc.bias"]
    logits = feature @ state["classification_head.1.weight"].T + state["classification_head.1.bias"]
    for found, expected in zip(net(images()), (logits, feature), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_running_the_stages_one_after_the_other_is_the_whole() -> None:
    net = tiny()
    x = net.input(images())
    for stage in range(4):
        x = net.stages(x, stage, stage + 1)
        assert x.shape[1:] == (2 * 2**stage, 8 // 2**stage, 8 // 2**stage)
    assert torch.equal(net.classify(net.embed(x))[0], net(images())[0])


def test_in_training_the_official_tap_hands_out_the_feature_after_dropout() -> None:
    net = tiny(feature_tap="post_dropout")
    plain = net(images())[1]
    torch.manual_seed(1)
    net.classification_head.train()
    logits, dropped = net(images())
    gone = dropped == 0
    assert 0 < gone.float().mean() < 0.5
    torch.testing.assert_close(dropped[~gone], plain[~gone] / 0.8)
    torch.testing.assert_close(logits, net.classification_head[1](dropped))


def test_the_other_tap_hands_out_the_feature_before_dropout() -> None:
    net = tiny(feature_tap="pre_dropout")
    plain_logits, plain = net(images())
    net.classification_head.train()
    logits, feature = net(images())
    assert torch.equal(feature, plain)
    assert not torch.equal(logits, plain_logits)


def test_the_taps_agree_in_evaluation() -> None:
    for one, other in zip(
        tiny(feature_tap="post_dropout")(images()), tiny(feature_tap="pre_dropout")(images()), strict=True
    ):
        assert torch.equal(one, other)


def test_another_normalisation_takes_the_place_of_batch_norm() -> None:
    net = SimpleCnn(2, 16, 2, norm=lambda channels: nn.GroupNorm(1, channels))
    assert sum(isinstance(module, nn.GroupNorm) for module in net.modules()) == 8
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
