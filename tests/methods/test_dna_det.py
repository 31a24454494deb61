"""DNA-Det: the published network and losses, patches, and how the first stage hands over to the second."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from datasets.errors import UserError
from datasets.types import ImageSet, Pixels
from methods import dna_det
from methods.core.batches import Batch, normalise
from methods.core.losses import classification_loss
from methods.dna_det import (
    AutomaticWeighting,
    DnaDetConfig,
    PatchNet,
    Pretraining,
    magnify,
    projection_head,
    random_patches,
    supervised_contrast,
)
from tests.methods.data import CPU, accuracy, fit, image_set, make_run, textures, unfitted
from tests.methods.states import differences

CLASSES = 3
TINY: dict[str, Any] = {
    "width": 2, "projection": 4, "magnification": 2, "patch": 32, "patches": 3, "plain_ce": False,
    "batch_size": 2, "epochs": 1, "steps_per_epoch": 2, "transformations_every": 4, "pretrain_epochs": 2,
    "pretrain_steps_per_epoch": 2, "pretrain_batch_size": 6, "keep": "last",
}  # fmt: skip
# Two patches each of two images on the unit circle.
POINTS = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]], dtype=torch.float64)


@pytest.fixture(scope="module")
def images() -> tuple[ImageSet, ImageSet]:
    return textures(CLASSES, 6, 32, seed=0), textures(CLASSES, 4, 32, seed=1)


def begun(train: ImageSet, **overrides: Any) -> tuple[Any, Batch]:
    """A method at the start of stage 2, and its first batch."""
    method = unfitted("dna_det", make_run(), overrides=TINY | overrides)
    method.prepare_fit(train)
    method.net.train()
    method.draw = method.run.generator("test")
    return method, next(iter(method.batches(train).epoch(0)))


def pretraining(train: ImageSet) -> tuple[Pretraining, Batch]:
    """Stage 1 at its start, and its first batch."""
    run = make_run()
    method = Pretraining(unfitted("dna_det", run, overrides=TINY).config, run)
    method.prepare_fit(train)
    method.draw = run.generator("test")
    return method, next(iter(method.batches(train).epoch(0)))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator(CPU).manual_seed(seed)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# -- network ---------------------------------------------------------------------------------------------


def test_the_published_network_has_its_parameters() -> None:
    net = PatchNet(15, DnaDetConfig().width)
    blocks = [3_264, 37_056, 131_456, 147_840, 525_056, 590_592, 2_098_688, 2_360_832]
    assert [count(block) for block in net.main] == blocks
    assert count(net) == 5_902_479
    assert count(PatchNet(5, 64)) == 5_897_349
    assert count(PatchNet(170, 64)) == 5_981_994
    assert count(projection_head(512, DnaDetConfig().projection)) == 328_320


@pytest.mark.parametrize(("side", "positions"), [(16, 1), (32, 2), (64, 4), (128, 8), (512, 32)])
def test_the_network_takes_images_of_any_size_and_pools_its_map(side: int, positions: int) -> None:
    net = PatchNet(5, 2).eval()
    pixels = torch.randn((2, 3, side, side), generator=generator())
    assert net.main(pixels).shape == (2, 16, positions, positions)
    logits, features = net(pixels)
    assert (logits.shape, features.shape) == ((2, 5), (2, 16))
    torch.testing.assert_close(features, F.adaptive_avg_pool2d(net.main(pixels), 1).flatten(1))


def test_a_blind_start_sees_neither_flat_colour_nor_its_border_and_keeps_the_shapes() -> None:
    blind, usual = PatchNet(5, 4, blind_start=True), PatchNet(5, 4)
    assert {k: v.shape for k, v in blind.state_dict().items()} == {k: v.shape for k, v in usual.state_dict().items()}
    grey, white = (blind.main[0].main[0](torch.full((1, 3, 32, 32), level)) for level in (0.0, 1.0))
    torch.testing.assert_close(grey, white, rtol=0, atol=1e-5)
    assert (
        usual.main[0].main[0](torch.ones(1, 3, 32, 32)) - usual.main[0].main[0].bias[:, None, None]
    ).abs().max() > 0.1


def test_projections_are_unit_vectors(images: Any) -> None:
    method, _ = begun(images[0])
    points = method.project(torch.randn((7, 16), generator=generator()))
    assert points.shape == (7, 4)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(7))


# -- losses ----------------------------------------------------------------------------------------------


def slow_contrast(points: Tensor, labels: list[int], temperature: float) -> float:
    """The definition, pair by pair."""
    z, total = points.tolist(), 0.0
    rows = range(len(z))
    similarity = [[sum(a * b for a, b in zip(z[i], z[j], strict=True)) / temperature for j in rows] for i in rows]
    for i in rows:
        partition = sum(math.exp(similarity[i][a]) for a in rows if a != i)
        partners = [p for p in rows if p != i and labels[p] == labels[i]]
        total -= sum(math.log(math.exp(similarity[i][p]) / partition) for p in partners) / len(partners)
    return total / len(z)


@pytest.mark.parametrize(
    ("labels", "temperature", "expected"),
    [
        ([0, 0, 1, 1], 1.0, 0.957474), ([0, 0, 1, 1], 0.5, 0.870714), ([0, 0, 1, 1], 0.07, 1.221856),
        ([0, 0, 0, 0], 1.0, 1.130807), ([0, 0, 0, 0], 0.5, 1.217381), ([0, 0, 0, 0], 0.07, 3.698046),
    ],
)  # fmt: skip
def test_the_contrastive_loss_of_four_patches_is_as_computed_by_hand(
    labels: list[int], temperature: float, expected: float
) -> None:
    assert supervised_contrast(POINTS, torch.tensor(labels), temperature).item() == pytest.approx(expected, abs=1e-6)


def test_the_contrastive_loss_is_its_definition_in_any_order() -> None:
    points = F.normalize(torch.randn((12, 5), generator=generator(), dtype=torch.float64), dim=1)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 2, 0, 0, 2, 1, 2])
    order = torch.randperm(12, generator=generator())
    expected = pytest.approx(slow_contrast(points, labels.tolist(), 0.3))
    assert supervised_contrast(points, labels, 0.3).item() == expected
    assert supervised_contrast(points[order], labels[order], 0.3).item() == expected


def test_the_contrastive_loss_starts_at_all_others_and_ends_at_its_partners() -> None:
    same = supervised_contrast(F.normalize(torch.ones(12, 3), dim=1), torch.arange(4).repeat(3), 0.07)
    assert same.item() == pytest.approx(math.log(11), abs=1e-5)
    labels = torch.tensor([0] * 6 + [1] * 6)  # two images of three patches in each of two classes
    apart = supervised_contrast(F.one_hot(labels).float() * 2 - 1, labels, 0.01)
    assert apart.item() == pytest.approx(math.log(5), abs=1e-5)


def test_a_patch_without_partner_is_no_anchor_but_repels() -> None:
    points = POINTS[:3].clone().requires_grad_()
    loss = supervised_contrast(points, torch.tensor([0, 0, 1]), 1.0)
    anchors = [math.log1p(math.exp(0.0 - 0.8)), math.log1p(math.exp(0.6 - 0.8))]
    assert loss.item() == pytest.approx(sum(anchors) / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert points.grad is not None
    assert torch.isfinite(points.grad).all()
    assert supervised_contrast(POINTS[:2], torch.tensor([0, 1]), 1.0).item() == 0


def test_automatic_weights_are_as_computed_by_hand() -> None:
    weighting = AutomaticWeighting()
    total = weighting(torch.tensor(1.6), torch.tensor(5.0))
    total.backward()
    assert total.item() == pytest.approx(4.686294)
    assert weighting.scales.grad.tolist() == pytest.approx([-0.6, -4.0])


@pytest.mark.parametrize(("loss", "weight"), [(1.0, 0.5), (1.8165, 0.331), (6.236, 0.128)])
def test_automatic_weights_come_to_rest_where_the_loss_says(loss: float, weight: float) -> None:
    square = (loss + math.sqrt(loss**2 + 8 * loss)) / 4
    assert 1 / (2 * square) == pytest.approx(weight, abs=5e-4)
    weighting = AutomaticWeighting()
    torch.nn.init.constant_(weighting.scales, math.sqrt(square))
    weighting(torch.tensor(loss), torch.tensor(loss)).backward()
    assert weighting.scales.grad.tolist() == pytest.approx([0, 0], abs=1e-5)


def test_the_softmax_of_a_softmax_is_as_computed_by_hand() -> None:
    logits, label = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
    assert classification_loss(logits, label, "ce").item() == pytest.approx(0.239545, abs=1e-6)
    assert classification_loss(logits, label, "double_softmax", 1.0).item() == pytest.approx(0.699501, abs=1e-6)
    flat = torch.zeros((1, 15), requires_grad=True)
    losses = (classification_loss(flat, label, kind, 1.0) for kind in ("ce", "double_softmax"))
    plain, double = (torch.autograd.grad(loss, flat)[0] for loss in losses)
    torch.testing.assert_close(double, plain / 15)


@pytest.mark.parametrize("plain", [False, True])
def test_only_plain_cross_entropy_leaves_the_bounds_of_probabilities(plain: bool) -> None:
    method, batch = begun(textures(15, 2, 32), plain_ce=plain)
    torch.nn.init.normal_(method.net.classification_head[1].weight, std=1e3, generator=generator())
    loss = method.loss(batch)["cls"].item()
    within = math.log(1 + 14 / math.e) <= loss <= math.log(math.e + 14)  # 1.8165 and 2.8165
    assert within != plain


def test_each_loss_reaches_its_own_head_and_weight_and_both_reach_the_convolutions(images: Any) -> None:
    method, batch = begun(images[0])
    terms = method.loss(batch)
    parts = (method.net.main[0].main[0], method.net.classification_head[1], method.projection[2])
    reached = {name: [gradient(term, part.weight) for part in parts] for name, term in terms.items()}
    assert reached == {"cls": [True, True, False], "contrast": [True, False, True]}
    for position, term in enumerate(terms.values()):
        alone = [term.detach() if at == position else torch.zeros(()) for at in range(2)]
        slopes = torch.autograd.grad(method.weighting(*alone), method.weighting.scales)[0]
        assert (slopes != 0.5 * 2).tolist() == [at == position for at in range(2)]  # ln(1 + p^2) has slope 1 at 1


def gradient(loss: Tensor, weight: Tensor) -> bool:
    """Whether a weight gets any gradient from a loss."""
    slope = torch.autograd.grad(loss, weight, retain_graph=True, allow_unused=True)[0]
    return slope is not None and bool(slope.any())


def test_the_weights_of_the_losses_learn_at_their_own_rate_and_decay_with_the_others(images: Any) -> None:
    method, batch = begun(images[0], learning_rate=1e-4, decay_steps=1)
    method.run.history.open("test", 0)
    method.train_step(batch)
    assert [group["lr"] for group in method.optim.param_groups] == pytest.approx([0.9e-4, 0.9e-2])
    assert (method.weighting.scales - 1).abs().tolist() == pytest.approx([0.01, 0.01], rel=1e-3)


# -- patches ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2, 4])
def test_magnification_is_pillows_bicubic_filter(factor: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    side = 32 * factor
    expected = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    magnified = magnify(torch.from_numpy(image).permute(2, 0, 1)[None], factor)[0].permute(1, 2, 0).numpy()
    assert np.abs(magnified - expected).max() <= 1  # Pillow computes in whole numbers
    assert (magnified == expected).mean() > 0.99


def test_patches_are_contiguous_lie_inside_and_differ_between_slots() -> None:
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    image = torch.arange(5.0)[:, None, None].expand(5, 40, 50)
    pixels = torch.stack([torch.stack([index, y, x]) for index in image])  # every pixel says where it comes from
    patches = random_patches(pixels, 16, 40, generator())
    assert patches.shape == (40, 5, 3, 16, 16)
    corner = patches[:, :, :, :1, :1]
    assert torch.equal(patches[:, :, 0], image[:, :16, :16].expand(40, 5, 16, 16))
    assert torch.equal(patches[:, :, 1] - corner[:, :, 1], y[:16, :16].expand(40, 5, 16, 16))
    assert torch.equal(patches[:, :, 2] - corner[:, :, 2], x[:16, :16].expand(40, 5, 16, 16))
    tops, lefts = corner[:, :, 1].unique().tolist(), corner[:, :, 2].unique().tolist()
    assert (min(tops), max(tops), min(lefts), max(lefts)) == (0, 24, 0, 34)
    assert len(corner[:, 0].flatten(1).unique(dim=0)) > 30
    assert torch.equal(random_patches(pixels[..., :40], 40, 2, generator())[1], pixels[..., :40])


def test_every_slot_of_patches_has_batch_statistics_of_its_own(images: Any) -> None:
    method, batch = begun(images[0])
    first = method.net.main[0].main
    expected = torch.zeros(2)
    patches = random_patches(magnify(batch.images, 2), 32, 3, method.run.generator("test"))
    for slot in patches:
        expected = 0.9 * expected + 0.1 * first[0](normalise(slot.clone())).mean(dim=(0, 2, 3))
    method.loss(batch)
    torch.testing.assert_close(first[1].running_mean, expected)
    assert int(first[1].num_batches_tracked) == 3


def test_a_patch_that_does_not_fit_is_refused_in_one_line(images: Any) -> None:
    with pytest.raises(
        UserError, match=r"^dna_det: patches of 80 px do not fit into images of 32 px magnified 2 times"
    ):
        begun(images[0], patch=80)


def test_every_batch_holds_as_many_images_of_each_class() -> None:
    sizes = [7, 3, 5]
    pixels = np.zeros((sum(sizes), 32, 32, 3), dtype=np.uint8)
    method, _ = begun(image_set(pixels, np.repeat(np.arange(3), sizes), 3), steps_per_epoch=None)
    batches = list(method.batches(image_set(pixels, np.repeat(np.arange(3), sizes), 3)).epoch(0))
    assert len(batches) == 3  # seven items make three pairs; the seventh is left out
    assert all(batch.labels.bincount().tolist() == [2, 2, 2] for batch in batches)


# -- whole images ----------------------------------------------------------------------------------------


def test_whole_images_are_judged_alike_a_few_at_a_time(images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    method, _ = begun(images[0])
    together = method.predict(images[1])
    monkeypatch.setattr(dna_det, "PIXELS_AT_ONCE", 1)
    alone = method.predict(images[1])
    np.testing.assert_allclose(alone.scores, together.scores, rtol=1e-5)
    np.testing.assert_allclose(alone.features, together.features, rtol=1e-4, atol=1e-5)
    assert together.features.shape == (len(images[1]), 16)


def test_confidence_tells_near_certain_images_apart(images: Any) -> None:
    method, _ = begun(images[0])
    confidence = method.confidence(np.array([[30.0, 0.0], [31.0, 0.0], [0.0, 33.0]]))
    assert (np.diff(confidence) > 0).all()


# -- the two stages --------------------------------------------------------------------------------------


def test_stage_one_labels_images_with_the_transformation_they_went_through(images: Any) -> None:
    method, batch = pretraining(images[0])
    assert len(batch.images) == 6
    assert batch.images.dtype == torch.uint8
    changed, labels = method.examples(batch)
    noise = method.transformations.families["noise"]  # the last family, and the only one that draws
    still = labels < len(method.transformations) - len(noise)
    again = method.transformations(batch.images, labels, generator(1))
    assert torch.equal(changed[still], again[still])
    assert len(labels.unique()) > 1


def test_stage_one_tells_transformations_apart_by_cross_entropy_of_logits(images: Any) -> None:
    method, _ = pretraining(images[0])
    assert method.plain_ce
    assert not method.config.plain_ce  # what the settings say holds for stage two
    assert method.net.classification_head[1].weight.shape == (44, 16)
    assert method.accuracy(images[1]) == method.accuracy(images[1])


def test_stage_two_starts_from_the_convolutions_of_stage_one_with_fresh_heads(images: Any) -> None:
    run = make_run()
    first = Pretraining(unfitted("dna_det", run, overrides=TINY).config, run)
    with run.stage("pretrain"):
        first.fit(*images)
    frozen = {"learning_rate": 1e-30}  # stage 2 moves nothing but batch statistics
    second = fit("dna_det", *images, overrides=TINY | frozen)
    learnt, kept = dict(first.net.main.named_parameters()), dict(second.net.main.named_parameters())
    assert differences(learnt, kept) == []
    untrained = fit("dna_det", *images, overrides=TINY | frozen | {"pretrain_epochs": 0})
    assert differences(learnt, dict(untrained.net.main.named_parameters())) != []
    head = second.net.classification_head[1].weight
    assert head.shape == (CLASSES, 16)
    assert not torch.equal(head, first.net.classification_head[1].weight[:CLASSES])
    assert not torch.equal(second.projection[0].weight, first.projection[0].weight)


def test_predictions_are_of_the_sources_even_while_stage_one_is_running(images: Any) -> None:
    seen: list[tuple[str, int]] = []
    run = make_run(on_epoch=lambda stage, _: seen.append((stage, method.predict(images[1]).scores.shape[1])))
    method = unfitted("dna_det", run, overrides=TINY)
    method.fit(*images)
    assert seen == [("pretrain", CLASSES), ("pretrain", CLASSES), ("finetune", CLASSES)]


def test_the_projection_head_is_not_kept(images: Any) -> None:
    method, _ = begun(images[0])
    assert {name.split(".")[0] for name in method.state()["net"]} == {"main", "classification_head"}
    assert method.trainable() == count(method.net)


# -- learning --------------------------------------------------------------------------------------------


def upsampled(count: int, seed: int) -> ImageSet:
    """Equal random content, brought from 16 px to 32 px by the nearest neighbour (class 0) or bilinearly (1)."""
    pixels: list[Pixels] = []
    content = gaussian_filter(np.random.default_rng(seed).standard_normal((2 * count, 16, 16, 3)), (0, 0.7, 0.7, 0))
    for small in np.clip(128 + 40 * content / content.std(), 0, 255).astype(np.uint8):
        how = Image.Resampling.NEAREST if len(pixels) < count else Image.Resampling.BILINEAR
        pixels.append(np.asarray(Image.fromarray(small).resize((32, 32), how)))
    return image_set(np.stack(pixels), np.repeat([0, 1], count), 2)


@pytest.mark.parametrize("plain", [False, True])
def test_two_ways_of_enlarging_are_told_apart_within_fifty_steps(plain: bool) -> None:
    settings = {
        "width": 16, "projection": 64, "patches": 4, "batch_size": 4, "steps_per_epoch": 10, "epochs": 5,
        "learning_rate": 1e-3, "decay_steps": 500, "pretrain_epochs": 0, "plain_ce": plain,
    }  # fmt: skip
    method = fit("dna_det", upsampled(100, 0), upsampled(20, 1), overrides=TINY | settings)
    assert accuracy(method, upsampled(60, 2)) > 0.95
    last = method.run.history.rows[-1]
    assert last["cls"] == pytest.approx(0 if plain else math.log(1 + 1 / math.e), abs=0.05)
    assert last["contrast"] == pytest.approx(math.log(15), abs=0.05)
