from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods.arpl_cs import ArplCs, ReciprocalNet, ReciprocalPoints, confusion_loss, open_loss
from methods.core.batches import Batch
from methods.core.networks.dual_norm import AUXILIARY, branch
from tests.methods.data import copied, make_run, textures
from tests.methods.gans import TINY, batch_of, tensors, tiny


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# -- the loss, by hand -----------------------------------------------------------------------------

X = torch.tensor([[1.0, 2.0]])


@pytest.fixture
def points() -> ReciprocalPoints:
    """m = 2, K = 2: P_0 = (0, 0), P_1 = (1, -1)."""
    head = ReciprocalPoints(2, 2)
    head.points.data = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    return head


def test_a_feature_belongs_to_the_class_whose_point_is_farthest(points: ReciprocalPoints) -> None:
    logits, distances = points(X)
    assert distances.tolist() == [[2.5, 4.5]]
    assert logits.tolist() == [[2.5, 5.5]]
    assert logits.argmax() == 1


@pytest.mark.parametrize(("label", "cls", "hinge", "total"), [(0, 3.0486, 3.5, 3.3986), (1, 0.0486, 5.5, 0.5986)])
def test_the_loss_of_a_known_image(
    points: ReciprocalPoints, monkeypatch: pytest.MonkeyPatch, label: int, cls: float, hinge: float, total: float
) -> None:
    method = tiny(ArplCs, classes=2, margin=1.0)
    method.net.head = points
    monkeypatch.setattr(method.net, "features", lambda images: X)
    labels = torch.tensor([label])
    terms = method.loss(Batch(X, labels, labels))
    assert terms["cls"].item() == pytest.approx(cls, abs=5e-5)
    assert terms["open"].item() == pytest.approx(0.1 * hinge)
    assert sum(term.item() for term in terms.values()) == pytest.approx(total, abs=5e-5)


@pytest.mark.parametrize(
    ("radius", "margin", "expected"), [(0, 1, 3.5), (3, 1, 0.5), (4, 1, 0), (0, 0, 2.5), (3, 0, 0)]
)
def test_the_hinge_closes_once_the_radius_covers_distance_and_margin(
    points: ReciprocalPoints, radius: float, margin: float, expected: float
) -> None:
    assert open_loss(points(X)[1], torch.tensor([0]), torch.tensor(radius), margin).item() == expected


def test_the_confusing_term_by_hand(points: ReciprocalPoints) -> None:
    assert points(X)[1].softmax(dim=1)[0].tolist() == pytest.approx([0.1192, 0.8808], abs=5e-5)
    assert confusion_loss(points(X)[1]).item() == pytest.approx(0.6940, abs=5e-5)
    assert confusion_loss(torch.zeros(4, 15)).item() == pytest.approx(1 / 15)
    assert confusion_loss(torch.tensor([[0.0, 500.0]])).item() == pytest.approx(1)
    mixed = torch.tensor([[0.0, 0.0], [0.0, 500.0]])
    assert confusion_loss(mixed).item() == pytest.approx(0.7071, abs=5e-5)  # the mean lies within the exponential


def test_the_paper_s_form_of_the_confusing_term_is_its_logarithm() -> None:
    distances = torch.tensor([[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]])
    assert confusion_loss(distances, "entropy").item() == pytest.approx(math.log(confusion_loss(distances).item()))


def test_the_confusing_term_survives_a_probability_that_underflows() -> None:
    distances = torch.tensor([[0.0, 1000.0]], requires_grad=True)
    q = distances.detach().softmax(dim=1)
    assert math.isnan((q * q.log()).sum().item())  # what the definition gives word for word
    loss = confusion_loss(distances)
    loss.backward()
    assert loss.item() == 1
    assert distances.grad is not None
    assert bool(distances.grad.isfinite().all())


def test_losses_agree_with_slow_restatements() -> None:
    rng = np.random.default_rng(0)
    x, p = rng.normal(size=(6, 5)), rng.normal(size=(4, 5))
    labels, radius, margin = rng.integers(4, size=6), 1.2, 0.7
    head = ReciprocalPoints(4, 5).double()
    head.points.data = torch.from_numpy(p)
    logits, distances = head(torch.from_numpy(x))
    entropies, hinges = [], []
    for i in range(6):
        d = [sum((x[i, j] - p[k, j]) ** 2 for j in range(5)) / 5 for k in range(4)]
        z = [d[k] - sum(x[i, j] * p[k, j] for j in range(5)) for k in range(4)]
        q = [math.exp(d[k]) / sum(map(math.exp, d)) for k in range(4)]
        entropies.append(-sum(value * math.log(value) for value in q))
        hinges.append(max(0.0, d[labels[i]] - radius + margin))
        assert logits[i].tolist() == pytest.approx(z)
        assert distances[i].tolist() == pytest.approx(d)
    assert 0 < sum(hinge > 0 for hinge in hinges) < 6
    found = open_loss(distances, torch.from_numpy(labels), torch.tensor(radius), margin)
    assert found.item() == pytest.approx(sum(hinges) / 6)
    assert confusion_loss(distances).item() == pytest.approx(math.exp(-sum(entropies) / 6))


def test_equally_far_points_confuse_whatever_the_dot_products() -> None:
    head = ReciprocalPoints(3, 4)
    x = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
    offsets = torch.tensor([[3.0, 0.0, 0.0, 0.0], [0.0, -3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0]])
    head.points.data = x + offsets
    logits, distances = head(x)
    assert logits.max() - logits.min() > 1
    assert confusion_loss(distances).item() == pytest.approx(1 / 3)


def test_the_classifier_is_a_linear_head_whose_common_offset_shows_in_the_confidence_only() -> None:
    torch.manual_seed(0)
    head, x, m = ReciprocalPoints(5, 8), torch.randn(7, 8), 8
    bias = head.points.square().sum(dim=1) / m
    linear = -(2 / m + 1) * (x @ head.points.T) + bias
    offset = x.square().sum(dim=1, keepdim=True) / m
    logits, _ = head(x)
    torch.testing.assert_close(logits, linear + offset)
    torch.testing.assert_close(logits.softmax(dim=1), linear.softmax(dim=1))
    assert not torch.allclose(logits.amax(dim=1), linear.amax(dim=1), atol=0.1)


def test_points_start_small_and_the_radius_at_zero() -> None:
    torch.manual_seed(0)
    head = ReciprocalPoints(15, 512)
    assert head.points.std().item() == pytest.approx(0.1, rel=0.02)
    assert head.radius.item() == 0


# -- gradients and steps ---------------------------------------------------------------------------


def test_the_radius_learns_from_open_hinges_only() -> None:
    method = tiny(ArplCs)
    head = method.net.head
    distances = torch.tensor([[2.0, 9.0], [0.5, 9.0], [9.0, 4.0], [0.1, 9.0]])
    head.radius.data.fill_(1.8)  # hinges of the first and the third are open
    (0.1 * open_loss(distances, torch.tensor([0, 0, 1, 0]), head.radius, 1.0)).backward()
    assert head.radius.grad is not None
    assert head.radius.grad.item() == pytest.approx(-0.1 * 2 / 4)
    head.zero_grad()
    method.confusion(batch_of().images).backward()
    assert head.radius.grad is None
    assert head.points.grad is not None


def test_made_images_go_through_the_auxiliary_branch_and_known_ones_through_the_main_branch() -> None:
    method, batch = tiny(ArplCs), batch_of()
    for act, moved in (
        (lambda: method.confusion(batch.images), "branches.1"),
        (lambda: method.loss(batch), "branches.0"),
    ):
        before = tensors(method.net)
        act()
        changed = {name for name, value in tensors(method.net).items() if not torch.equal(value, before[name])}
        assert len(changed) == 24  # mean, variance and count of eight layers
        assert all(moved in name for name in changed)


def test_each_step_moves_its_own_network_only(monkeypatch: pytest.MonkeyPatch) -> None:
    method, batch, moved = tiny(ArplCs), batch_of(), []
    networks = {"net": method.net, "generator": method.gan.generator, "discriminator": method.gan.discriminator}

    def snapshot() -> dict[str, dict[str, Tensor]]:
        return {name: {k: v.detach().clone() for k, v in net.named_parameters()} for name, net in networks.items()}

    state = snapshot()
    for optimiser in (method.gan.discriminator_optim, method.gan.generator_optim, method.optim):
        step = optimiser.step

        def recorded(step: Any = step) -> None:
            nonlocal state
            step()
            after = snapshot()
            moved.append([name for name in networks if not equal(after[name], state[name])])
            state = after

        monkeypatch.setattr(optimiser, "step", recorded)
    method.confusing_step(batch)
    assert moved == [["discriminator"], ["generator"], ["net"]]


def test_the_generator_learns_to_confuse() -> None:
    method = tiny(ArplCs, classes=4)
    method.net.head.points.data *= 20  # so that distances differ
    noise = torch.Generator().manual_seed(0)
    before = method.confusion(method.gan.fakes(16, noise))
    gan = method.gan
    for group in gan.generator_optim.param_groups:
        group["lr"] = 1e-4
    gan.step_generator(before)
    assert method.confusion(gan.fakes(16, noise.manual_seed(0))) < before


def test_the_classifier_s_gradient_is_that_of_all_its_terms_with_the_generator_attached() -> None:
    """The official code back-propagates into the generator as well and then forgets that part."""
    method, batch = tiny(ArplCs, optimiser="sgd", sgd_momentum=0.0, sgd_weight_decay=0.0, learning_rate=1.0), batch_of()
    reference = copy.deepcopy((method.net, method.gan.generator))
    before = {name: value.detach().clone() for name, value in method.net.named_parameters()}
    for optimiser in (method.gan.discriminator_optim, method.gan.generator_optim):
        optimiser.param_groups[0]["lr"] = 0.0
    method.confusing_step(batch)

    net, generator = reference
    noise = make_run().generator("noise")
    count = len(batch.labels)
    drawn = [torch.randn(count, 8, 1, 1, generator=noise) for _ in range(2)]
    logits, distances = net.head(net.features(batch.images))
    own = torch.stack([distances[i, label] for i, label in enumerate(batch.labels)])
    loss = nn.functional.cross_entropy(logits, batch.labels) + 0.1 * (own - net.head.radius + 1).clamp_min(0).mean()
    with branch(net, AUXILIARY):
        fake_distances = net.head(net.features(generator(drawn[1])))[1]
    q = fake_distances.softmax(dim=1)
    (loss + 0.1 * (q * q.log()).sum(dim=1).mean().exp()).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        moved = before[name] - dict(method.net.named_parameters())[name].detach()
        torch.testing.assert_close(moved, parameter.grad, atol=2e-5, rtol=1e-3)


def test_without_weight_on_fakes_and_without_the_plain_pass_training_is_plain_arpl() -> None:
    images = textures(3, 6, 32)
    states = []
    for settings in ({"fake_weight": 0.0, "plain_pass": False}, {"confusing_samples": False}):
        method = ArplCs(ArplCs.Config(**{**TINY, **settings, "epochs": 2, "keep": "last"}), make_run())
        method.fit(images, images)
        states.append({k: v for k, v in tensors(method.net).items() if "branches.1" not in k})
    assert equal(*states)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "cccc pppp"),
        ({"plain_pass": False}, "cccc"),
        ({"confuse_every": 2}, "cpcp pppp"),
        ({"confuse_every": 3, "plain_pass": False}, "cppc"),
        ({"confusing_samples": False}, "pppp"),
    ],
)
def test_an_epoch_is_a_confusing_pass_then_a_plain_one(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], expected: str
) -> None:
    images, kinds = textures(2, 4, 32), list[str]()
    method = ArplCs(ArplCs.Config(**{**TINY, **settings, "batch_size": 1}), make_run())
    plain, confusing = method.plain_step, method.confusing_step
    monkeypatch.setattr(method, "plain_step", lambda batch: (kinds.append("p"), plain(batch))[1])
    monkeypatch.setattr(method, "confusing_step", lambda batch: (kinds.append("c"), confusing(batch))[1])
    method.fit(images, images)
    assert "".join(kinds) == expected.replace(" ", "")
    assert method.run.history.rows[0]["radius"] == method.net.head.radius.item() != 0


def test_points_and_radius_may_learn_at_a_rate_of_their_own() -> None:
    for rate, expected in ((None, 1e-3), (1e-2, 1e-2)):
        network, criterion = tiny(ArplCs, criterion_learning_rate=rate).optim.param_groups
        assert (network["lr"], criterion["lr"]) == (1e-3, expected)
        assert len(criterion["params"]) == 2
    method = tiny(ArplCs)
    listed = [p for group in method.optim.param_groups for p in group["params"]]
    assert {id(p) for p in listed} == {id(p) for p in method.net.parameters()}
    assert len(listed) == len(list(method.net.parameters()))


# -- what comes out --------------------------------------------------------------------------------


def test_the_network_has_no_head_but_its_points() -> None:
    network = ReciprocalNet(15, 128, 64, "dct")
    plain_without_head = 22_680_207 - 7_695
    assert sum(p.numel() for p in network.parameters()) == plain_without_head + 3_840 + 15 * 512 + 1


def test_scores_are_raw_logits_and_the_confidence_is_their_maximum() -> None:
    method, images = tiny(ArplCs), textures(3, 4, 32, seed=1)
    prediction = method.predict(images)
    method.net.eval()
    with torch.no_grad():
        pixels = torch.from_numpy(images.batch(slice(None))).permute(0, 3, 1, 2)
        features = method.net.features(pixels.float() / 127.5 - 1)
        points = method.net.head.points
        d = torch.stack([(features - point).square().mean(dim=1) for point in points], dim=1)
        z = (d - features @ points.T).double().numpy()
    np.testing.assert_allclose(prediction.scores, z, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(prediction.confidence, prediction.scores.max(axis=1))
    np.testing.assert_allclose(prediction.features, features.numpy(), rtol=1e-5, atol=1e-6)
    assert prediction.features.shape == (12, 16)


def test_only_the_classifier_is_kept_and_it_judges_alone() -> None:
    method, images = tiny(ArplCs), textures(3, 4, 32, seed=1)
    method.confusing_step(batch_of())
    method.net.eval()
    assert set(method.state()) == {"net"}
    assert {"head.points", "head.radius"} <= set(method.state()["net"])
    other = copied(method, make_run())
    assert not hasattr(other, "gan")
    np.testing.assert_array_equal(other.predict(images).scores, method.predict(images).scores)
