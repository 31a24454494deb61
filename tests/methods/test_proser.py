"""PROSER: hand-computed values, the step as the released code spells it out, and fine-tuning on planted classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax as scipy_softmax
from torch import Tensor

from datasets.types import ImageSet
from methods.core.batches import Batch, normalise
from methods.core.method import Floats
from methods.core.network_method import open_softmax
from methods.proser import (
    Heads,
    Proser,
    ProserConfig,
    Shares,
    calibrated_bias,
    dummy_is_second,
    margins,
    mix,
    open_logits,
    probability_gap,
    second_place_loss,
    unknown_loss,
)
from tests.methods.data import Fitted, accuracy, fit, make_run, resolver, textures

CLASSES, SIZE = 3, 32
JOINT = np.array([[2.0, 1.0, 0.0, 1.5]])  # known logits 2, 1, 0; dummies 0.5 and 1.5


@pytest.fixture(scope="module")
def images() -> tuple[ImageSet, ImageSet]:
    return textures(CLASSES, 24, SIZE, seed=0), textures(CLASSES, 12, SIZE, seed=1)


@pytest.fixture(scope="module")
def known() -> Fitted:
    """Networks that are fitted once for all tests here."""
    return {}


@pytest.fixture
def started(images: tuple[ImageSet, ImageSet], known: Fitted) -> Any:
    """A PROSER of given settings that is about to take its first step."""

    def start(**settings: Any) -> Proser:
        run = make_run(resolve=resolver(*images, known=known))
        method = Proser(ProserConfig(**settings), run)
        method.prepare_fit(images[0])
        method.draw, method.shares = run.numpy_generator("mixing", 0), Shares()
        return method

    return start


def a_batch(images: ImageSet, size: int = 24) -> Batch:
    rows = np.random.default_rng(0).permutation(len(images))[:size]
    pixels = torch.from_numpy(images.batch(rows)).permute(0, 3, 1, 2)
    return Batch(normalise(pixels), torch.from_numpy(images.labels[rows]), torch.from_numpy(rows))


def heads(known: list[float], dummy: list[float]) -> Heads:
    """Both heads on one image, with gradients."""
    return Heads(
        torch.tensor([known], requires_grad=True), torch.tensor([dummy], requires_grad=True), torch.zeros(1, 1)
    )


HAND = ([2.0, 1.0, 0.0], [0.5, 1.5])


# -- losses ------------------------------------------------------------------------------------------


def test_the_largest_dummy_is_the_logit_of_unknown() -> None:
    assert open_logits(heads(*HAND)).tolist() == [[2, 1, 0, 1.5]]
    assert open_logits(heads([1.0], [7.0])).tolist() == [[1, 7]]
    assert open_logits(Heads(torch.zeros(4, 6), torch.zeros(4, 9), torch.zeros(4, 1))).shape == (4, 7)


def test_the_three_terms_have_the_values_computed_by_hand() -> None:
    logits, label = open_logits(heads(*HAND)), torch.tensor([0])
    assert F.cross_entropy(logits, label).item() == pytest.approx(0.7466, abs=5e-5)
    assert second_place_loss(logits, label).item() == pytest.approx(0.6041, abs=5e-5)
    assert unknown_loss(logits, 3).item() == pytest.approx(1.2466, abs=5e-5)


@pytest.mark.parametrize(
    ("settings", "total"),
    [
        ({"mix_weight": 0.1}, 1.4754),
        ({"mix_weight": 0.01}, 1.3632),
        ({"mix_weight": 0.01, "dummy_logits": "all"}, 0.8471 + 0.6041 + 0.01 * 2.3471),
        ({"known_weight": 2.0, "dummy_weight": 3.0, "mix_weight": 0.0}, 2 * 0.7466 + 3 * 0.6041),
    ],
)
def test_the_total_has_the_value_computed_by_hand(started: Any, settings: dict[str, Any], total: float) -> None:
    method: Proser = started(**settings)
    terms = method.terms(heads(*HAND), torch.tensor([0]), heads(*HAND))
    assert sum(terms.values()).item() == pytest.approx(total, abs=2e-4)  # type: ignore[union-attr]


def test_with_one_dummy_both_readings_of_the_losses_agree(started: Any) -> None:
    readings = [started(dummies=1, dummy_logits=reading) for reading in ("max", "all")]
    one, other = (
        method.terms(heads([2.0, 1, 0], [0.3]), torch.tensor([1]), heads([0.0, 1, 0], [2.0])) for method in readings
    )
    assert {name: term.item() for name, term in one.items()} == {name: term.item() for name, term in other.items()}


def test_the_classifier_placeholder_ignores_the_true_logit_and_moves_one_dummy() -> None:
    both = heads(*HAND)
    second_place_loss(open_logits(both), torch.tensor([0])).backward()
    assert both.known.grad is not None
    assert both.dummy.grad is not None
    assert both.known.grad[0, 0] == 0
    assert (both.known.grad[0, 1:] != 0).all()
    assert both.dummy.grad[0, 0] == 0
    assert both.dummy.grad[0, 1] < 0
    moved = heads([-55.0, 1.0, 0.0], HAND[1])
    assert second_place_loss(open_logits(moved), torch.tensor([0])).item() == pytest.approx(0.6041, abs=5e-5)


def test_equal_dummies_are_told_apart_by_the_gradient() -> None:
    both = heads([1.0, 0.0], [0.0, 0.0, 0.0])
    unknown_loss(open_logits(both), 2).backward()
    assert both.dummy.grad is not None
    assert (both.dummy.grad != 0).sum() == 1


@pytest.mark.parametrize("scale", [1e3, 1e6, 1e30])
def test_saturated_logits_give_finite_losses_and_gradients(started: Any, scale: float) -> None:
    method: Proser = started()
    both = heads([scale, -scale, 0.0], [-scale, -2 * scale])
    loss = torch.stack([*method.terms(both, torch.tensor([0]), both).values()]).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert both.known.grad is not None
    assert torch.isfinite(both.known.grad).all()


def test_a_dummy_is_second_when_exactly_one_known_logit_exceeds_it() -> None:
    logits = torch.tensor([[3.0, 1, 2], [1.0, 0, 2], [3.0, 4, 2]])
    assert dummy_is_second(logits).tolist() == [True, False, False]


# -- the network and its mixtures --------------------------------------------------------------------


def test_with_a_silent_dummy_head_the_first_step_starts_from_base(
    started: Any, images: tuple[ImageSet, ImageSet], known: Fitted
) -> None:
    method = started()
    torch.nn.init.zeros_(method.net.dummy_head.weight)
    torch.nn.init.zeros_(method.net.dummy_head.bias)
    joint, features = method.infer(images[1])
    logits, base_features = known["base"].infer(images[1])  # type: ignore[attr-defined]
    np.testing.assert_array_equal(joint[:, :-1], logits)
    np.testing.assert_array_equal(joint[:, -1], 0)
    np.testing.assert_array_equal(features, base_features)
    assert method.accuracy(images[1]) == known["base"].accuracy(images[1])  # type: ignore[attr-defined]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_mixture_of_an_image_with_itself_is_the_image(
    started: Any, images: tuple[ImageSet, ImageSet], cut: int
) -> None:
    net = started().net.eval()
    batch = a_batch(images[0])
    whole, hidden = net(batch.images), net.lower(batch.images, cut)
    for mixed in (mix(hidden, hidden, 0.3), mix(hidden, hidden.flip(0), 1.0), mix(hidden.flip(0), hidden, 0.0)):
        for one, other in zip(net.upper(mixed, cut), whole, strict=True):
            torch.testing.assert_close(one, other)


def test_a_mixture_is_the_weighted_mean() -> None:
    torch.testing.assert_close(mix(torch.tensor([1.0]), torch.tensor([5.0]), 0.25), torch.tensor([4.0]))


def test_pairs_are_of_different_classes_and_of_a_permutation(started: Any) -> None:
    labels = torch.tensor([0, 0, 1, 2, 2, 1, 0, 2] * 4)
    rows, partners = started().pairs(labels)
    assert (labels[rows] != labels[partners]).all()
    assert len(set(partners.tolist())) == len(partners) == len(rows) < len(labels)
    rows, partners = started(distinct_classes=False).pairs(labels)
    assert rows.tolist() == list(range(32))
    assert sorted(partners.tolist()) == list(range(32))


def test_a_half_of_one_class_costs_nothing_in_the_mixed_term(started: Any, images: tuple[ImageSet, ImageSet]) -> None:
    method: Proser = started()
    batch = a_batch(images[0].take(images[0].labels == 1))
    terms = method.loss(batch)
    assert terms["mix"] == 0
    assert method.shares.means().keys() == {"dummy_second_rate"}
    torch.stack([*terms.values()]).sum().backward()


def one_pass(method: Proser, batch: Batch) -> Tensor:
    return torch.stack([*method.loss(batch).values()]).sum()


def literal_step(method: Proser, batch: Batch) -> Tensor:
    """The loss as the released code spells it out: every half passes twice, rows are masked one by one."""
    net, config, K = method.net, method.config, method.task.num_classes
    half = int(len(batch.images) / 2)
    first, second, labels = batch.images[:half], batch.images[half:], batch.labels[half:]
    draw = method.run.numpy_generator("mixing", 0)
    index = torch.from_numpy(draw.permutation(half))
    weight = draw.beta(config.mix_alpha, config.mix_alpha)
    hidden = net.lower(first, config.mix_after_stage)
    mixed = weight * hidden + (1 - weight) * hidden[index]
    if config.distinct_classes:
        mixed = torch.stack(
            [m for m, a, b in zip(mixed, batch.labels[:half], batch.labels[index], strict=True) if a != b]
        )
    dummies, logits = net(second).dummy, net(second).known
    largest = dummies.clone().max(dim=1)[0].view(-1, 1)
    mixed_known = net.upper(mixed, config.mix_after_stage).known
    mixed_dummies = net.upper(mixed, config.mix_after_stage).dummy
    if config.dummy_logits == "max":
        seen = torch.cat((logits, largest), 1)
        mixtures = torch.cat((mixed_known, mixed_dummies.max(dim=1)[0].view(-1, 1)), 1)
    else:
        seen, mixtures = torch.cat((logits, dummies), 1), torch.cat((mixed_known, mixed_dummies), 1)
    masked = torch.cat((logits.clone(), largest), dim=1)
    for row in range(len(masked)):
        masked[row][labels[row]] = -1e9
    criterion = torch.nn.CrossEntropyLoss()
    loss1 = criterion(mixtures, torch.ones(len(mixtures)).long() * K)
    loss2 = criterion(seen, labels)
    loss3 = criterion(masked, torch.ones_like(labels) * K)
    return config.mix_weight * loss1 + config.known_weight * loss2 + config.dummy_weight * loss3


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mix_after_stage": 2, "mix_weight": 1.0},
        {"dummies": 1, "mix_weight": 0.01, "mix_alpha": 1.0, "distinct_classes": False, "dummy_logits": "all"},
        {"dummies": 3, "dummy_logits": "all"},
    ],
)
def test_one_pass_equals_the_two_of_the_released_code_up_to_dropout(
    started: Any, images: tuple[ImageSet, ImageSet], settings: dict[str, Any]
) -> None:
    batch, gradients, losses = a_batch(images[0]), [], []
    for step in (literal_step, one_pass):
        method: Proser = started(**settings)
        method.net.train()
        method.net.base.classification_head[0] = torch.nn.Identity()
        loss = step(method, batch)
        loss.backward()
        losses.append(loss.item())
        gradients.append({name: p.grad for name, p in method.net.named_parameters() if p.grad is not None})
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert gradients[0].keys() == gradients[1].keys() > {"base.main.0.main.0.weight", "dummy_head.weight"}
    # A bias before a batch normalisation has gradient 0, of which only rounding is left.
    rounding = 1e-5 * max(float(gradient.abs().max()) for gradient in gradients[0].values())
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=rounding, msg=name)


def test_both_heads_read_the_same_dropped_out_feature(started: Any, images: tuple[ImageSet, ImageSet]) -> None:
    net = started().net.train()
    both = net(a_batch(images[0]).images)
    assert (both.feature == 0).float().mean() == pytest.approx(0.2, abs=0.06)
    torch.testing.assert_close(both.known, net.base.classification_head[1](both.feature))
    torch.testing.assert_close(both.dummy, net.dummy_head(both.feature))


@pytest.mark.parametrize(("frozen", "moved"), [(False, 2), (True, 1)])
def test_mixed_features_move_the_batch_statistics_unless_told_otherwise(
    started: Any, images: tuple[ImageSet, ImageSet], frozen: bool, moved: int
) -> None:
    method: Proser = started(freeze_bn_on_mix=frozen)
    method.net.train()
    first, *_, last = [m for m in method.net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    before = int(first.num_batches_tracked), int(last.num_batches_tracked)  # type: ignore[arg-type]
    method.loss(a_batch(images[0]))
    assert int(first.num_batches_tracked) - before[0] == 2  # type: ignore[arg-type]
    assert int(last.num_batches_tracked) - before[1] == moved  # type: ignore[arg-type]
    assert last.training


def test_frozen_stages_stay_as_base_has_them(images: tuple[ImageSet, ImageSet], known: Fitted) -> None:
    method = fit("proser", *images, known=known, overrides={"frozen_stages": 3, "epochs": 1})
    before, after = known["base"].net.state_dict(), method.net.base.state_dict()  # type: ignore[attr-defined]
    same = {name.split(".")[1] for name in before if name.startswith("main") and torch.equal(before[name], after[name])}
    assert same >= {"0", "1", "2", "3", "4", "5"}
    assert not torch.equal(before["main.6.main.0.weight"], after["main.6.main.0.weight"])
    assert not torch.equal(before["fc.weight"], after["fc.weight"])


# -- scores ------------------------------------------------------------------------------------------


def test_scores_and_confidence_have_the_values_computed_by_hand() -> None:
    scores, known = open_softmax(JOINT[:, :-1], JOINT[:, -1])
    np.testing.assert_allclose(scores, [[0.4740, 0.1744, 0.0641]], atol=6e-5)
    assert 1 - scores.sum() == pytest.approx(0.2875, abs=5e-5)
    assert 1 - known[0] == pytest.approx(0.2875, abs=5e-5)
    assert probability_gap(JOINT, 1.0)[0] == pytest.approx(0.1865, abs=5e-5)
    assert probability_gap(JOINT, 1024.0)[0] == pytest.approx(0.5 / (1024 * 4), rel=1e-3)
    assert margins(JOINT)[0] == 0.5


def test_the_confidence_agrees_with_a_plain_softmax() -> None:
    logits = 4 * np.random.default_rng(0).standard_normal((50, 6))
    p = scipy_softmax(logits / 7, axis=1)
    np.testing.assert_allclose(probability_gap(logits, 7.0), p[:, :-1].max(axis=1) - p[:, -1], rtol=1e-9, atol=1e-15)


def test_a_common_shift_changes_nothing_and_a_dummy_shift_every_margin_alike() -> None:
    logits = np.random.default_rng(1).standard_normal((20, 5))
    np.testing.assert_allclose(probability_gap(logits + 3, 1024.0), probability_gap(logits, 1024.0), rtol=1e-9)
    np.testing.assert_allclose(margins(logits + 0.7 * np.eye(5)[4]), margins(logits) - 0.7)
    one, other = (torch.from_numpy(values) for values in (logits, logits + 3))
    for label in range(4):
        labels = torch.full((20,), label)
        torch.testing.assert_close(second_place_loss(one, labels), second_place_loss(other, labels))
        torch.testing.assert_close(F.cross_entropy(one, labels), F.cross_entropy(other, labels))


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e8])
def test_saturated_logits_keep_the_order_of_images(scale: float) -> None:
    logits = scale * np.array([[3.0, 2.0, 9.0], [2.0, 3.0, 9.0], [5.0, 2.0, 1.0], [5.0, 2.0, 1.5]])
    confidence = probability_gap(logits, 1024.0)
    assert np.isfinite(confidence).all()
    assert confidence[:2].max() < 0 < confidence[2:].min()
    assert margins(logits)[2] > margins(logits)[3]


def test_the_confidence_resolves_what_single_precision_would_not() -> None:
    logits = np.array([[1.0, 0.0, 0.5], [1.0, 0.0, 0.5 + 1e-9]])
    one, other = probability_gap(logits, 1024.0)
    assert one > other
    assert np.float32(1 / 3 + one) == np.float32(1 / 3 + other)


def test_the_bias_rejects_the_asked_share_of_validation_images() -> None:
    twenty = np.arange(1, 21) / 2
    assert calibrated_bias(twenty[::-1], 0.05) == 1.0
    assert (twenty >= 1.0).mean() == 0.95
    assert calibrated_bias(twenty, 0.0) == 0.5
    assert calibrated_bias(np.arange(100.0), 0.29) == 29


# -- fine-tuning -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned(images: tuple[ImageSet, ImageSet], known: Fitted) -> Proser:
    return fit("proser", *images, known=known)


def test_placeholders_take_their_places_from_far_below(started: Any, images: tuple[ImageSet, ImageSet]) -> None:
    rates = {"learning_rate": 1e-3, "dummy_learning_rate": 3e-2}
    method: Proser = started(**rates, mix_weight=1.0, batch_size=6, steps_per_epoch=15)
    torch.nn.init.constant_(method.net.dummy_head.bias, -20.0)
    shares = []
    for epoch in range(7):
        method.train_epoch(epoch, method.batches(images[0]))
        shares.append(method.shares.means())
    assert shares[0]["dummy_second_rate"] < 0.3
    assert shares[-1]["dummy_second_rate"] > 0.6
    assert shares[0]["mix_to_dummy_rate"] < 0.5
    assert shares[-1]["mix_to_dummy_rate"] > 0.7
    assert method.accuracy(images[1]) >= 0.9


def test_every_epoch_notes_how_often_the_placeholders_are_in_place(tuned: Proser) -> None:
    for row in tuned.run.history.rows:
        assert {"dummy_second_rate", "mix_to_dummy_rate", "known", "dummy", "mix"} <= set(row)
        assert 0 <= float(row["dummy_second_rate"]) <= 1


def auc(known: Floats, unknown: Floats) -> float:
    return float(((known[:, None] > unknown) + 0.5 * (known[:, None] == unknown)).mean())


def test_confidence_and_margin_rank_known_and_unknown_images_alike(
    tuned: Proser, images: tuple[ImageSet, ImageSet]
) -> None:
    others = textures(CLASSES + 2, 12, SIZE, seed=3)
    known, unknown = (tuned.predict(part) for part in (images[1], others.take(others.labels >= CLASSES)))
    by_gap = auc(known.confidence, unknown.confidence)
    by_margin, by_score = (auc(known.variants[v], unknown.variants[v]) for v in ("margin", "max_softmax"))
    assert by_gap > 0.5
    assert by_margin == pytest.approx(by_gap, abs=5e-3)  # one pair in 288 is 3.5e-3
    assert by_score > 0.5
    np.testing.assert_array_equal(known.variants["max_softmax"], known.scores.max(axis=1))


def test_decisions_reject_few_validation_images_and_name_the_class_of_the_rest(
    tuned: Proser, images: tuple[ImageSet, ImageSet]
) -> None:
    decided = tuned.decide(images[1])
    rejected = decided == CLASSES
    assert rejected.sum() == 1  # floor(0.05 x 36)
    np.testing.assert_array_equal(decided[~rejected], tuned.predict(images[1]).scores.argmax(axis=1)[~rejected])


def test_the_official_settings_are_those_of_the_code() -> None:
    config = ProserConfig(**Proser.VARIANTS["official_code"])
    assert (config.dummies, config.mix_weight, config.mix_alpha) == (1, 0.01, 1.0)
    assert not config.distinct_classes


@pytest.mark.parametrize("variant", sorted(Proser.VARIANTS))
def test_every_variant_learns(variant: str, images: tuple[ImageSet, ImageSet], known: Fitted) -> None:
    method = fit(f"proser@{variant}", *images, known=known)
    assert accuracy(method, images[1]) >= 0.9
    assert method.needs(method.config) == ("base@ce" if variant == "ce" else "base",)
