"""The first network of discovery: its layers, its feature, its augmentation, its trunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from datasets.errors import UserError
from methods.core.method import Task
from methods.core.networks.simple_cnn import SimpleCnn
from methods.girish_step1 import DiscoveryNet, GirishStep1, GirishStep1Config, augmented, blurred, through_file
from tests.methods.data import class_names, make_run, textures


class Mean(nn.Module):
    """A trunk that hands its input on."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def net(**settings: object) -> DiscoveryNet:
    torch.manual_seed(0)
    return DiscoveryNet(Mean(), 3, (8, 8, 4), 5, **settings).eval()  # type: ignore[arg-type]


def built(size: int = 64, **settings: object) -> DiscoveryNet:
    method = GirishStep1(GirishStep1Config(**settings), make_run())  # type: ignore[arg-type]
    method.task = Task(class_names(5), size)
    network = method.build()
    assert isinstance(network, DiscoveryNet)
    return network.eval()


def test_the_feature_is_the_output_of_the_third_relu_before_dropout() -> None:
    network = net()
    images = torch.randn(6, 3, 8, 8)
    logits, feature, pooled = network(images)
    x = images.mean(dim=(2, 3))
    torch.testing.assert_close(pooled, x)
    for layer in network.layers:
        x = torch.relu(layer(x))
    torch.testing.assert_close(feature, x)
    assert (feature >= 0).all()
    torch.testing.assert_close(logits, network.classifier(x))


def test_dropout_follows_every_relu_in_training_and_spares_the_feature_of_the_last() -> None:
    network = net(dropout=0.9).train()
    pooled = torch.ones(1, 3, 4, 4)
    first, second = network(pooled), network(pooled)
    assert not torch.equal(first[0], second[0])
    torch.testing.assert_close(first[2], second[2])


def test_images_are_brought_to_the_input_size() -> None:
    seen = []
    network = net(input_size=16)
    network.trunk.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[-1]))
    network(torch.zeros(1, 3, 8, 8))
    network(torch.zeros(1, 3, 16, 16))
    assert seen == [16, 16]


def test_the_published_network_is_a_resnet50_with_a_head_of_512_512_128() -> None:
    config = GirishStep1Config()
    assert (config.backbone, config.head, config.dropout, config.input_size) == ("resnet50", (512, 512, 128), 0.5, 256)
    small = built(backbone="resnet10t", input_size=None)
    logits, feature, pooled = small(torch.zeros(2, 3, 64, 64))
    assert (logits.shape, feature.shape, pooled.shape) == ((2, 5), (2, 128), (2, 512))


def test_the_shared_trunk_sees_plain_pixels_and_depends_on_no_side() -> None:
    network = built(backbone="simple_cnn", width=4, input_size=None)
    assert network.layers[0].in_features == 32
    assert not [name for name, _ in network.named_parameters() if "fc" in name]
    assert network(torch.zeros(2, 3, 64, 64))[0].shape == (2, 5)


def test_the_variant_dct_starts_from_the_feature_of_the_shared_network() -> None:
    network = built(backbone="simple_cnn_dct", width=4, input_size=None)
    torch.manual_seed(1)
    shared = SimpleCnn(5, 64, 4).eval()
    network.trunk.load_state_dict({k: v for k, v in shared.state_dict().items() if "classification" not in k})
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(network(images)[2], shared(images)[1])


def test_a_renewed_head_is_drawn_afresh_on_the_same_feature() -> None:
    network, images = net(), torch.rand(2, 3, 16, 16)
    before = network(images)
    torch.manual_seed(5)
    network.renew_head(9)
    torch.manual_seed(5)
    assert torch.equal(network.classifier.weight, nn.Linear(4, 9).weight)
    after = network(images)
    assert torch.equal(after[1], before[1])
    assert (before[0].shape, after[0].shape) == ((2, 5), (2, 9))


def test_the_pooled_maps_can_be_the_feature() -> None:
    method = GirishStep1(GirishStep1Config(feature="backbone"), make_run())
    method.net = net()
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(method.outputs(images)[1], images.mean(dim=(2, 3)))


# -- augmentation ----------------------------------------------------------------------------------


def pixels(count: int = 40) -> torch.Tensor:
    return torch.from_numpy(textures(2, count // 2, 32).batch(slice(None))).permute(0, 3, 1, 2)


def test_augmentation_changes_about_a_tenth_by_blur_and_a_tenth_by_jpeg_and_flips_half() -> None:
    images = pixels(400)
    changed = augmented(images, torch.Generator().manual_seed(0))
    plain = (changed == images).flatten(1).all(1) | (changed == images.flip(-1)).flatten(1).all(1)
    assert plain.float().mean().item() == pytest.approx(0.81, abs=0.06)
    flipped = (changed == images.flip(-1)).flatten(1).all(1)
    assert flipped.float().mean().item() == pytest.approx(0.405, abs=0.08)
    again = augmented(images, torch.Generator().manual_seed(0))
    assert torch.equal(changed, again)


def test_blur_of_no_width_changes_nothing_and_of_some_width_smooths() -> None:
    images = pixels(2)
    assert torch.equal(blurred(images, [0.0, 0.0]), images)
    smooth = blurred(images, [0.5, 0.99])
    rough = [t.float().diff(dim=-1).abs().mean().item() for t in (images, smooth)]
    assert rough[1] < rough[0] / 2
    flat = torch.full((1, 3, 16, 16), 77, dtype=torch.uint8)
    assert torch.equal(blurred(flat, [0.9]), flat)


def test_jpeg_at_the_best_quality_stays_closer_than_at_the_worst() -> None:
    images = pixels(2)
    best, worst = ((through_file(images, [level] * 2).float() - images).abs().mean() for level in (0.999, 0.0))
    assert best < worst
    assert best < 3


# -- weights ---------------------------------------------------------------------------------------


def test_given_trunk_weights_are_taken_over(tmp_path: Path) -> None:
    donor = built(backbone="simple_cnn", width=4, input_size=None).trunk.state_dict()
    path = tmp_path / "trunk.safetensors"
    save_file({**donor, "fc.weight": torch.zeros(1)}, path)
    config = GirishStep1Config(backbone="simple_cnn", width=4, input_size=None, weights=path)
    method = GirishStep1(config, make_run(seed=5))
    method.prepare_fit(textures(5, 1, 64))
    taken = method.net.trunk.state_dict()
    assert all(torch.equal(taken[name], value) for name, value in donor.items())


def test_weights_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path) -> None:
    config = GirishStep1Config(backbone="simple_cnn", width=4, input_size=None, weights=tmp_path / "none")
    with pytest.raises(UserError, match=r"girish_step1\.weights=.* cannot be used") as caught:
        GirishStep1(config, make_run()).prepare_fit(textures(5, 1, 64))
    assert "\n" not in str(caught.value)


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    config = GirishStep1Config(backbone="simple_cnn", width=4, input_size=None)
    method = GirishStep1(config, make_run())
    images = textures(3, 2, 32)
    method.prepare_fit(images)
    prediction = method.predict(images)
    logits, features = method.infer(images)
    expected = torch.from_numpy(logits).softmax(dim=1).numpy()
    np.testing.assert_allclose(prediction.scores, expected)
    np.testing.assert_allclose(prediction.confidence, expected.max(axis=1))
    assert prediction.features.shape == (6, 128)
    assert (features >= 0).all()
