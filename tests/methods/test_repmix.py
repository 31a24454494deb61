from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from datasets.errors import UserError
from methods.core.batches import Batch, normalise
from methods.core.network_method import softmax
from methods.core.training import parameter_count
from methods.repmix import RepMix, RepMixConfig, RepMixNet, coefficients, detection_loss, gated, mix, source_loss
from tests.methods.data import accuracy, fit, make_run, textures, unfitted

NARROW: dict[str, Any] = {"channels": (8, 8, 16, 16), "stem_width": 4}
TINY: dict[str, Any] = {**NARROW, "embedding": 8, "batch_size": 4, "epochs": 2, "steps_per_epoch": 2}


def network(classes: int = 3, **settings: Any) -> RepMixNet:
    torch.manual_seed(0)
    return RepMixNet(classes, "resnet10t", NARROW, 8, **settings)


def prepared(classes: int = 3, **overrides: Any) -> Any:
    """A method ready for its first training step."""
    method = unfitted("repmix", make_run(), overrides=TINY | overrides)
    method.prepare_fit(textures(classes, 4, 32))
    return method


def rows(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


# -- network -----------------------------------------------------------------------------------------


def test_the_published_settings_build_the_published_network() -> None:
    method = RepMix(RepMixConfig(), make_run())
    method.prepare_fit(textures(15, 1, 32))
    parts = (method.net.trunk, method.net.embedding, method.net.source, method.net.detector)
    assert [parameter_count(part) for part in parts] == [23_508_032, 524_544, 3_855, 514]
    wanted = {"lr": 1e-4, "betas": (0.9, 0.999), "weight_decay": 5e-4}
    assert type(method.optim) is torch.optim.Adam
    assert {key: method.optim.defaults[key] for key in wanted} == wanted


def test_the_defaults_are_the_values_of_the_official_code() -> None:
    config = RepMixConfig()
    assert (config.batch_size, config.epochs, config.patience, config.decay_factor) == (32, 30, 6, 0.85)
    assert (config.mixup_level, config.concentration, config.embedding) == (5, 0.4, 256)
    assert (config.corrupt_probability, config.max_severity, config.resize, config.crop) == (0.95, 5, 256, 224)


def test_the_trunk_has_the_parts_of_torchvisions_resnet_by_name() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.resnet50().state_dict()
        ours = timm.create_model("resnet50", pretrained=False, num_classes=0, global_pool="").state_dict()
    shapes = {name: value.shape for name, value in theirs.items() if not name.startswith("fc.")}
    assert {name: value.shape for name, value in ours.items()} == shapes


def test_pairs_become_one_row_in_training_and_single_images_keep_theirs() -> None:
    net, images = network().eval(), torch.rand(6, 3, 28, 28)
    assert net.embed(images, coefficients(3, 0.4)).shape == (3, 8)
    alone = net.embed(images)
    assert alone.shape == (6, 8)
    torch.testing.assert_close(net.embed(images[2:3]), alone[2:3], rtol=1e-4, atol=1e-5)


def test_heads_are_linear_in_the_embedding_and_the_gate_can_be_left_out() -> None:
    net, embedding = network(), torch.rand(5, 8)
    logits, detection = net.heads(embedding)
    source = embedding @ net.source.weight.T + net.source.bias
    torch.testing.assert_close(detection, embedding @ net.detector.weight.T + net.detector.bias)
    torch.testing.assert_close(logits, gated(source, detection))
    net.gate = False
    torch.testing.assert_close(net.heads(embedding)[0], source)


# -- mixing ------------------------------------------------------------------------------------------


def test_neighbouring_rows_are_mixed() -> None:
    beta = rows((0.25, 0.75), (0.5, 0.5))
    assert mix(rows(1, 3, 5, 9), beta).tolist() == [2.5, 7.0]
    maps = torch.rand(4, 2, 3, 3)
    torch.testing.assert_close(mix(maps, beta)[1], 0.5 * maps[2] + 0.5 * maps[3])


@pytest.mark.parametrize("count", [3, 5, 6])
def test_rows_that_are_no_pairs_of_the_coefficients_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=rf"{count} rows cannot be mixed"):
        mix(torch.rand(count, 2), torch.full((2, 2), 0.5))


def test_coefficients_are_those_of_a_symmetric_dirichlet_distribution() -> None:
    torch.manual_seed(0)
    beta = coefficients(100_000, 0.4)
    torch.testing.assert_close(beta.sum(dim=1), torch.ones(100_000))
    assert float(beta[:, 0].mean()) == pytest.approx(0.5, abs=0.01)
    assert float(beta[:, 0].var()) == pytest.approx(0.139, abs=0.005)
    larger = beta.amax(dim=1)
    assert float(larger.mean()) == pytest.approx(0.840, abs=0.005)
    assert [float((larger > least).float().mean()) for least in (0.9, 0.99)] == pytest.approx([0.479, 0.188], abs=0.01)


@pytest.mark.parametrize("training", [True, False])
def test_mixing_the_last_maps_is_mixing_the_embeddings(training: bool) -> None:
    torch.manual_seed(1)
    images, beta = torch.rand(8, 3, 56, 56), coefficients(4, 0.4)
    net = network(mixup_level=5).train(training)
    maps = net.trunk.forward_features(images)
    literal = net.embedding(mix(maps, beta).mean(dim=(2, 3)))
    torch.testing.assert_close(net.embed(images, beta), literal, rtol=0, atol=1e-5)
    torch.testing.assert_close(net.embed(images, beta), network(mixup_level=6).train(training).embed(images, beta))


def test_every_other_level_mixes_where_it_says() -> None:
    torch.manual_seed(1)
    images, beta = torch.rand(4, 3, 32, 32), rows((0.3, 0.7), (0.9, 0.1))
    for level in range(5):
        net = network(mixup_level=level).eval()
        trunk, x = net.trunk, images
        stem = torch.nn.Sequential(trunk.conv1, trunk.bn1, trunk.act1, trunk.maxpool)
        parts: list[Any] = [stem, trunk.layer1, trunk.layer2, trunk.layer3]
        for part in parts[:level]:
            x = part(x)
        x = torch.stack([0.3 * x[0] + 0.7 * x[1], 0.9 * x[2] + 0.1 * x[3]])
        for part in [*parts, trunk.layer4][level:]:
            x = part(x)
        torch.testing.assert_close(net.embed(images, beta), net.embedding(x.mean(dim=(2, 3))), rtol=1e-4, atol=1e-5)


# -- gate and losses ---------------------------------------------------------------------------------


def test_detection_probabilities_multiply_the_source_logits() -> None:
    logits = gated(rows((2, 4, -4)), rows((0, math.log(3))))
    torch.testing.assert_close(logits, rows((0.5, 3, -3)))
    entropies = [float(source_loss(logits, torch.tensor([[label]]), torch.ones(1, 1))) for label in range(3)]
    assert entropies == pytest.approx([2.581178, 0.081178, 6.081178], abs=1e-6)
    assert softmax(logits.double().numpy())[0] == pytest.approx([0.0757, 0.9220, 0.0023], abs=5e-5)


def test_a_sure_fake_with_negative_logits_is_still_called_real() -> None:
    logits = gated(rows((-5, -1, -2)), rows((-20, 20)))
    torch.testing.assert_close(logits, rows((0, -1, -2)), rtol=0, atol=1e-6)
    assert int(logits.argmax()) == 0


def test_the_compound_loss_of_one_pair() -> None:
    detection, labels, beta = rows((0, math.log(3))), torch.tensor([[0, 1]]), rows((0.25, 0.75))
    source = source_loss(gated(rows((2, 4, -4)), detection), labels, beta)
    detector = detection_loss(detection, labels, beta, fake_weight=0.5)
    assert float(source) == pytest.approx(0.706178, abs=1e-6)
    assert float(detector) == pytest.approx(0.454454, abs=1e-6)
    assert float(source + detector) == pytest.approx(1.160632, abs=1e-6)


def test_the_weight_of_fakes_is_not_divided_out_again() -> None:
    two_fakes = detection_loss(torch.zeros(2, 2), torch.tensor([[1], [2]]), torch.ones(2, 1), fake_weight=0.5)
    assert float(two_fakes) == pytest.approx(0.346574, abs=1e-6)  # ln(2) / 2


def losses(logits: Tensor, labels: Tensor, beta: Tensor) -> tuple[float, float]:
    return float(source_loss(logits, labels, beta)), float(detection_loss(logits[:, :2], labels, beta, 0.25))


def test_degenerate_mixtures_cost_what_single_images_cost() -> None:
    torch.manual_seed(0)
    logits, labels, beta = torch.randn(6, 4), torch.randint(4, (6, 2)), coefficients(6, 0.4)
    first, sure = labels[:, :1], torch.tensor([[1.0, 0.0]]).expand(6, 2)
    assert losses(logits, labels, sure) == pytest.approx(losses(logits, first, torch.ones(6, 1)))
    assert losses(logits, labels.flip(1), beta.flip(1)) == pytest.approx(losses(logits, labels, beta))
    assert losses(logits, first.expand(6, 2), beta) == pytest.approx(losses(logits, first, torch.ones(6, 1)), rel=1e-5)


def test_confidence_is_one_over_k_when_the_source_head_says_nothing_and_never_less() -> None:
    torch.manual_seed(0)
    detection = 20 * torch.randn(50, 2)
    silent = softmax(gated(torch.zeros(50, 7), detection).double().numpy()).max(axis=1)
    assert (silent == 1 / 7).all()
    loud = softmax(gated(9 * torch.randn(50, 7), detection).double().numpy()).max(axis=1)
    assert ((loud >= 1 / 7) & (loud <= 1)).all()


def literal_terms(method: Any, batch: Batch, beta: Tensor) -> tuple[float, float]:
    """The two losses of a batch of pairs, one pair and one image at a time."""
    net, classes = method.net, method.task.num_classes
    source = detector = 0.0
    for pair, coefficient in enumerate(beta.tolist()):
        members = (2 * pair, 2 * pair + 1)
        e = sum(b * net.embed(batch.images[i : i + 1])[0] for b, i in zip(coefficient, members, strict=True))
        a, d = (net.source(e).tolist(), net.detector(e).tolist())
        real = math.exp(d[0]) / (math.exp(d[0]) + math.exp(d[1]))
        z = [a[0] * real, *(value * (1 - real) for value in a[1:])]
        for b, i in zip(coefficient, members, strict=True):
            label = int(batch.labels[i])
            source += b * (math.log(sum(map(math.exp, z))) - z[label])
            probability, weight = (real, 1.0) if label == 0 else (1 - real, 1 / (classes - 1))
            detector -= b * weight * math.log(probability)
    return source / len(beta), detector / len(beta)


def test_the_loss_of_a_batch_is_its_literal_definition() -> None:
    method = prepared(classes=4)
    method.net.eval()
    images, labels = torch.rand(8, 3, 28, 28), torch.tensor([0, 1, 2, 3, 0, 0, 3, 2])
    batch = Batch(images, labels, torch.arange(8))
    torch.manual_seed(5)
    terms = method.loss(batch)
    torch.manual_seed(5)
    expected = literal_terms(method, batch, coefficients(4, 0.4))
    assert [float(terms[name].detach()) for name in ("source", "detection")] == pytest.approx(expected, rel=1e-4)


def test_without_mixing_every_image_counts_for_itself() -> None:
    method = prepared(mix=False)
    method.net.eval()
    images, labels = torch.rand(3, 3, 28, 28), torch.tensor([0, 1, 2])
    terms = method.loss(Batch(images, labels, torch.arange(3)))
    twice = Batch(images.repeat_interleave(2, dim=0), labels.repeat_interleave(2), torch.arange(6))
    mixed = literal_terms(method, twice, torch.full((3, 2), 0.5))
    assert [float(terms[name].detach()) for name in ("source", "detection")] == pytest.approx(mixed, rel=1e-4)
    assert next(iter(method.batches(textures(3, 4, 32)).epoch(0))).images.shape == (4, 3, 28, 28)


@pytest.mark.parametrize("changes", [{"mix": False}, {"mixup_level": 1}])
def test_a_pass_that_would_end_with_a_single_row_trains_too(changes: dict[str, Any]) -> None:
    images = textures(3, 3, 32)  # 9 = 2 x 4 + 1
    method = fit("repmix", images, images, overrides=TINY | {"steps_per_epoch": None, "epochs": 1, **changes})
    assert method.run.history.rows[0]["steps"] == 2


def test_fakes_weigh_one_over_their_classes_or_as_much_as_there_are_real_images() -> None:
    train = textures(3, 4, 32).take(np.arange(2, 12))  # 2 real, 8 fake
    weights = {}
    for how in ("classes", "images"):
        method = unfitted("repmix", make_run(), overrides=TINY | {"fake_weight": how})
        method.prepare_fit(train)
        weights[how] = method.fake_weight
    assert weights == {"classes": 1 / 2, "images": 2 / 8}


# -- images ------------------------------------------------------------------------------------------


def test_training_images_are_crops_of_seven_eighths_and_test_images_stay_whole() -> None:
    method = prepared(corrupt_probability=0.0)
    method.task = type(method.task)(method.task.classes, 16)
    pixels = torch.randint(256, (1, 3, 16, 16), dtype=torch.uint8).repeat(40, 1, 1, 1)
    seen = method.augmentation()(pixels, torch.Generator().manual_seed(0))
    assert seen.shape == (40, 3, 14, 14)
    whole = normalise(pixels[0])
    windows = [view[:, y : y + 14, x : x + 14] for view in (whole, whole.flip(-1)) for y in range(3) for x in range(3)]
    places = [[torch.equal(image, window) for window in windows] for image in seen]
    assert all(any(found) for found in places)
    assert {found.index(True) // 9 for found in places} == {0, 1}  # mirrored and not
    assert torch.equal(method.prepare(pixels), normalise(pixels))


def test_both_images_of_a_pair_are_corrupted_for_themselves() -> None:
    method = prepared(corrupt_probability=1.0, max_severity=5)
    pixels = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8).repeat(8, 1, 1, 1)
    seen = method.augmentation()(pixels, torch.Generator().manual_seed(0))
    assert len({image.numpy().tobytes() for image in seen}) == 8
    assert float(seen.min()) >= -1
    assert float(seen.max()) <= 1


def test_the_papers_geometry_enlarges_crops_and_tests_at_the_size_of_the_crop() -> None:
    method = prepared(geometry="paper", resize=64, crop=56, corrupt_probability=0.0)
    images = textures(2, 1, 32)
    pixels = torch.from_numpy(images.batch(slice(None))).permute(0, 3, 1, 2)
    assert method.augmentation()(pixels, torch.Generator().manual_seed(0)).shape == (2, 3, 56, 56)
    expected = np.asarray(Image.fromarray(images.batch(slice(0, 1))[0]).resize((56, 56), Image.Resampling.BILINEAR))
    found = (method.prepare(pixels)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(found - expected).max() <= 1.01


# -- training ----------------------------------------------------------------------------------------


def test_the_learning_rate_falls_by_its_factor_every_round() -> None:
    images = textures(3, 4, 32)
    settings = TINY | {"learning_rate": 1e-4, "decay_factor": RepMixConfig().decay_factor, "epochs": 5}
    settings |= {"steps_per_epoch": None, "batch_size": 5}
    method = fit("repmix", images, images, overrides=settings)
    assert [row["steps"] for row in method.run.history.rows] == [3] * 5
    assert method.optim.param_groups[0]["lr"] == pytest.approx(4.437053e-5)  # 1e-4 x 0.85^5


def test_validation_is_the_training_loss_on_clean_single_images() -> None:
    method, val = prepared(), textures(3, 4, 32, seed=1)
    method.run.history.open("fit", 0)
    score = method.score(val)
    method.net.eval()
    pixels = torch.from_numpy(val.batch(slice(None))).permute(0, 3, 1, 2)
    alone = Batch(normalise(pixels).repeat_interleave(2, dim=0), torch.from_numpy(val.labels.repeat(2)), torch.empty(0))
    assert score == pytest.approx(-sum(literal_terms(method, alone, torch.full((12, 2), 0.5))), rel=1e-4)


def test_the_epoch_with_the_lowest_validation_loss_is_kept() -> None:
    images = textures(3, 4, 32)
    method = fit("repmix", images, images, overrides=TINY | {"epochs": 4, "learning_rate": 0.05})
    seen = [float(row["val_loss"]) for row in method.run.history.rows]
    method.run.history.open("fit", 0)
    assert -method.score(images) == pytest.approx(min(seen), rel=1e-5)


@pytest.mark.parametrize("variant", [None, *RepMix.VARIANTS])
def test_every_variant_trains_and_predicts(variant: str | None) -> None:
    images = textures(3, 2, 32)
    key = "repmix" if variant is None else f"repmix@{variant}"
    changes = RepMix.VARIANTS.get(variant or "", {})
    method = fit(key, images, images, overrides=TINY | {"resize": 64, "crop": 56, **changes}, max_steps=1)
    prediction = method.predict(images)
    np.testing.assert_allclose(prediction.scores.sum(axis=1), 1)
    np.testing.assert_array_equal(prediction.confidence, prediction.scores.max(axis=1))
    assert prediction.features.shape == (6, 8)


def test_three_textures_are_told_apart_after_a_few_steps() -> None:
    train, val = textures(3, 24, 32, seed=0), textures(3, 12, 32, seed=1)
    assert accuracy(fit("repmix", train, val), val) >= 0.9


# -- weights from a file -----------------------------------------------------------------------------


def saved(path: Path, **extra: Tensor) -> Path:
    save_file({**network().trunk.state_dict(), **extra}, path)
    return path


def test_a_trunk_starts_from_a_local_file_and_a_classifier_in_it_is_passed_over(tmp_path: Path) -> None:
    path = saved(tmp_path / "trunk.safetensors", **{"fc.weight": torch.zeros(5, 16), "fc.bias": torch.zeros(5)})
    method = prepared(weights=path, backbone="resnet10t")
    for name, value in network().trunk.state_dict().items():
        assert torch.equal(method.net.trunk.state_dict()[name], value), name


@pytest.mark.parametrize("mistake", ["missing", "another network", "no safetensors file"])
def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path: Path, mistake: str) -> None:
    path = tmp_path / "trunk.safetensors"
    if mistake == "another network":
        save_file({"conv1.weight": torch.zeros(1)}, path)
    elif mistake == "no safetensors file":
        path.write_bytes(b"weights")
    with pytest.raises(UserError, match=r"repmix\.weights=.*trunk\.safetensors cannot be used") as error:
        prepared(weights=path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["resnet51", "vit_tiny_patch16_224"])
def test_a_backbone_that_is_no_resnet_of_timm_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"repmix\.backbone='{name}' is refused"):
        prepared(backbone=name)
