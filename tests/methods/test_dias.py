from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.core.networks.dual_norm import AUXILIARY, branch
from methods.core.networks.simple_cnn import SimpleCnn
from methods.dias import Dias, Taps, imitated_taps, resume, smoothed_cross_entropy, taps_of
from tests.methods.data import copied, make_run, textures
from tests.methods.gans import TINY, batch_of, tensors, tiny


def changed(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in tensors(module).items() if not torch.equal(value, before[name])}


def without_dropout(*networks: SimpleCnn) -> None:
    for network in networks:
        network.classification_head[0].p = 0.0  # type: ignore[union-attr]


def twin(method: Dias) -> None:
    """Give the Copycat the classifier's weights, those of the main branch where there are two."""
    weights = {k.replace("branches.0.", ""): v for k, v in method.net.state_dict().items() if "branches.1." not in k}
    method.copycat.load_state_dict(weights)


# -- smoothed cross-entropy ------------------------------------------------------------------------

LOGITS, FIRST = torch.tensor([[2.0, 1.0, 0.0, -1.0]]), torch.tensor([0])


@pytest.mark.parametrize(("smoothing", "expected"), [(0, 0.44019), (0.5, 1.19019), (1, 1.94019)])
def test_smoothed_cross_entropy_by_hand(smoothing: float, expected: float) -> None:
    assert smoothed_cross_entropy(LOGITS, FIRST, smoothing).item() == pytest.approx(expected, abs=5e-6)
    assert smoothed_cross_entropy(torch.ones(3, 4), torch.arange(3), smoothing).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize(
    ("classes", "smoothing", "own", "other"),
    [(4, 0.5, 0.625, 0.125), (15, 0.5, 0.53333, 0.03333), (15, 1.0, 1 / 15, 1 / 15), (15, 0.0, 1.0, 0.0)],
)
def test_the_smoothed_target_shares_mass_evenly(classes: int, smoothing: float, own: float, other: float) -> None:
    logits = torch.zeros(1, classes, requires_grad=True)
    smoothed_cross_entropy(logits, FIRST, smoothing).backward()
    assert logits.grad is not None
    target = (1 / classes - logits.grad[0]).tolist()  # the gradient is softmax - target
    assert target == pytest.approx([own] + [other] * (classes - 1), abs=5e-6)


def test_smoothed_cross_entropy_agrees_with_a_slow_restatement_and_is_linear_in_the_smoothing() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(6, 5)), rng.integers(5, size=6)

    def slowly(smoothing: float) -> float:
        losses = []
        for i in range(6):
            target = [(1 - smoothing) * (k == y[i]) + smoothing / 5 for k in range(5)]
            log_sum = math.log(sum(math.exp(value) for value in z[i]))
            losses.append(-sum(target[k] * (z[i, k] - log_sum) for k in range(5)))
        return sum(losses) / 6

    found = [smoothed_cross_entropy(torch.from_numpy(z), torch.from_numpy(y), a).item() for a in (0.0, 0.3, 1.0)]
    assert found == pytest.approx([slowly(a) for a in (0.0, 0.3, 1.0)])
    assert found[1] == pytest.approx(0.7 * found[0] + 0.3 * found[2])


def test_the_even_target_ignores_labels_and_is_met_by_equal_logits_only() -> None:
    torch.manual_seed(0)
    logits = torch.randn(8, 6)
    one, other = (smoothed_cross_entropy(logits, torch.full((8,), label), 1.0) for label in (0, 5))
    assert one.item() == pytest.approx(other.item())
    assert one > math.log(6)
    assert smoothed_cross_entropy(torch.full((8, 6), 3.0), torch.arange(8) % 6, 1.0).item() == pytest.approx(
        math.log(6)
    )


# -- the GAN pass ----------------------------------------------------------------------------------


def test_the_generator_makes_images_that_the_classifier_is_sure_about(monkeypatch: pytest.MonkeyPatch) -> None:
    method, batch = tiny(Dias, classes=4, gan_learning_rate=1e-3), batch_of(4)
    without_dropout(method.net)
    method.net.classification_head[1].weight.data *= 20  # so that predictions differ
    monkeypatch.setattr(method.gan, "adversarial_loss", lambda fakes: 0 * fakes.sum())
    monkeypatch.setattr(method.gan, "step_discriminator", lambda images, fakes: torch.tensor(0.0))
    method.optim.param_groups[0]["lr"] = 0.0
    noise = torch.Generator()

    def distance() -> float:
        fakes = method.gan.detached_fakes(len(batch.labels), noise.manual_seed(0))
        return method.moderate_loss(fakes, batch.labels).item()

    before = distance()
    method.gan_step(batch)
    assert distance() > before


@pytest.mark.parametrize(("weight", "same"), [(0.0, True), (0.1, False)])
def test_the_generator_s_gradient_depends_on_the_classifier_through_the_weighted_term_only(
    weight: float, same: bool
) -> None:
    gradients = []
    for factor in (1, 30):
        method = tiny(Dias, fake_weight=weight)
        without_dropout(method.net)
        method.net.classification_head[1].weight.data *= factor
        method.gan_step(batch_of())
        gradients.append([p.grad for p in method.gan.generator.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True)) is same


def test_the_gan_step_trains_f_on_images_and_on_fresh_fakes_through_the_auxiliary_branch() -> None:
    method, batch = tiny(Dias, optimiser="sgd", sgd_momentum=0.0, sgd_weight_decay=0.0, learning_rate=1.0), batch_of()
    without_dropout(method.net)
    for optimiser in (method.gan.discriminator_optim, method.gan.generator_optim):
        optimiser.param_groups[0]["lr"] = 0.0
    net, generator = copy.deepcopy((method.net, method.gan.generator))
    before = {name: value.detach().clone() for name, value in method.net.named_parameters()}
    method.gan_step(batch)

    noise, count = make_run().generator("noise"), len(batch.labels)
    drawn = [torch.randn(count, 8, 1, 1, generator=noise) for _ in range(2)]
    known = -net(batch.images)[0].log_softmax(dim=1)[torch.arange(count), batch.labels].mean()
    with branch(net, AUXILIARY):
        made = -(net(generator(drawn[1]))[0].log_softmax(dim=1) / 3).sum(dim=1).mean()
    (known + 0.1 * made).backward()
    after = dict(method.net.named_parameters())
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        torch.testing.assert_close(before[name] - after[name].detach(), parameter.grad, atol=2e-5, rtol=1e-3)


def test_generated_images_leave_the_main_branch_s_statistics_alone() -> None:
    method, batch = tiny(Dias), batch_of()
    before = tensors(method.net)
    method.moderate_loss(batch.images, batch.labels)
    names = changed(method.net, before)
    assert len(names) == 24
    assert all("branches.1" in name for name in names)


# -- the Copycat pass ------------------------------------------------------------------------------


def test_the_copycat_loss_is_the_class_and_the_mean_distance_of_two_taps(monkeypatch: pytest.MonkeyPatch) -> None:
    method, batch = tiny(Dias, classes=2, imitation_weight=3.0), batch_of(2)
    own, other = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 2.0, 5.0])  # L1 = 1
    feature = torch.zeros(len(batch.labels), 16)
    monkeypatch.setattr("methods.dias.imitated_taps", lambda net, images: (other, other))
    monkeypatch.setattr("methods.dias.taps_of", lambda net, images: Taps(own, own + 1, feature))  # L1 = 1 and 4 / 3
    logits = method.copycat.classification_head[1].bias.detach().clone()  # of a feature that is zero
    terms = method.imitate(batch)
    assert terms["imitation"].item() == pytest.approx(3 * (1 + 4 / 3) / 2)
    assert terms["copycat"].item() == pytest.approx(-logits.log_softmax(dim=0).mean().item())  # as many of each class


def test_taps_are_the_outputs_of_the_second_and_third_stage_and_the_feature() -> None:
    method, batch = tiny(Dias), batch_of()
    method.net.eval()
    seen: list[Tensor] = []
    for block in method.net.main:
        block.register_forward_hook(lambda module, inputs, output: seen.append(output))
    _, feature = method.net(batch.images)
    taps = taps_of(method.net, batch.images)
    assert [tuple(tap.shape[1:]) for tap in taps] == [(4, 8, 8), (8, 4, 4), (16,)]
    assert torch.equal(taps.early, seen[3])
    assert torch.equal(taps.late, seen[5])
    assert torch.equal(taps.feature, feature)
    assert all(map(torch.equal, imitated_taps(method.net, batch.images), taps[:2]))


def test_a_perfect_copycat_has_no_distance_and_f_goes_on_from_its_taps_as_from_its_own() -> None:
    method, batch = tiny(Dias), batch_of()
    method.net(batch.images)  # moves the statistics off their start
    twin(method)
    method.net.eval()
    method.copycat.eval()
    theirs, own = taps_of(method.copycat, batch.images), taps_of(method.net, batch.images)
    assert F.l1_loss(theirs.early, own.early).item() == F.l1_loss(theirs.late, own.late).item() == 0
    logits, _ = method.net(batch.images)
    assert torch.equal(resume(method.net, theirs.early, 2), logits)
    assert torch.equal(resume(method.net, theirs.late, 3), logits)
    assert torch.equal(method.net.classify(theirs.feature)[0], logits)


def test_the_copycat_s_step_changes_nothing_of_f_and_f_s_step_nothing_of_the_copycat() -> None:
    method, batch = tiny(Dias), batch_of()
    f, g = tensors(method.net), tensors(method.copycat)
    method.imitate(batch)
    assert not changed(method.net, f)
    assert all(parameter.grad is None for parameter in method.net.parameters())
    assert len(changed(method.copycat, g)) == len(g)  # every weight and every statistic
    g = tensors(method.copycat)
    gradients = [parameter.grad for parameter in method.copycat.parameters()]
    kept = [gradient.clone() for gradient in gradients if gradient is not None]
    method.learn_from_copycat(batch)
    assert not changed(method.copycat, g)
    assert all(torch.equal(one, other) for one, other in zip(kept, gradients, strict=True) if other is not None)
    assert not any("branches.1" in name for name in changed(method.net, f))


def test_the_copycat_imitates_f_in_evaluation_mode_and_f_faces_the_copycat_in_evaluation_mode() -> None:
    method, batch = tiny(Dias), batch_of()
    without_dropout(method.net)
    f, g = copy.deepcopy((method.net, method.copycat))
    terms = method.imitate(batch)
    own, targets = taps_of(g.train(), batch.images), taps_of(f.eval(), batch.images)
    distance = ((own.early - targets.early).abs().mean() + (own.late - targets.late).abs().mean()) / 2
    assert terms["imitation"].item() == pytest.approx(distance.item(), rel=1e-5)

    f, g = copy.deepcopy((method.net.train(), method.copycat))
    terms = method.learn_from_copycat(batch)
    fakes = taps_of(g.eval(), batch.images)
    f(batch.images)
    mean_even = -f.classify(fakes.feature)[0].log_softmax(dim=1).mean()
    assert terms["easy"].item() == pytest.approx(0.1 / 3 * mean_even.item(), rel=1e-5)
    for name, logits in (("hard_early", resume(f, fakes.early, 2)), ("hard_late", resume(f, fakes.late, 3))):
        log_p = logits.log_softmax(dim=1)
        own_class = -log_p[torch.arange(len(batch.labels)), batch.labels].mean()
        expected = 0.1 / 3 * (0.5 * own_class - 0.5 * log_p.mean())
        assert terms[name].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("frozen", "extra"), [(False, {1: 0, 2: 1, 3: 2}), (True, {1: 0, 2: 0, 3: 0})])
def test_hard_fakes_move_the_main_statistics_of_the_stages_they_pass_unless_frozen(
    frozen: bool, extra: dict[int, int]
) -> None:
    method, batch = tiny(Dias, freeze_bn_on_copycat=frozen), batch_of()
    method.learn_from_copycat(batch)
    for stage, count in extra.items():
        norm = method.net.main[2 * stage].main[1].branches[0]
        assert norm.num_batches_tracked.item() == 1 + count
        assert norm.momentum == 0.1


def test_the_copycat_learns_at_f_s_rate() -> None:
    method, batch = tiny(Dias), batch_of()
    method.optim.param_groups[0]["lr"] = 3e-5
    method.imitate(batch)
    assert method.copycat_optim.param_groups[0]["lr"] == 3e-5


# -- the whole -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alternate", "expected"), [(False, "gggg cccc"), (True, "gcgc")])
def test_an_epoch_is_a_gan_pass_then_a_copycat_pass_or_both_in_turn(
    monkeypatch: pytest.MonkeyPatch, alternate: bool, expected: str
) -> None:
    images, kinds = textures(2, 4, 32), list[str]()
    method = Dias(Dias.Config(**{**TINY, "alternate": alternate, "batch_size": 1}), make_run())
    gan, copycat = method.gan_step, method.learn_from_copycat
    monkeypatch.setattr(method, "gan_step", lambda batch: (kinds.append("g"), gan(batch))[1])
    monkeypatch.setattr(method, "learn_from_copycat", lambda batch: (kinds.append("c"), copycat(batch))[1])
    method.fit(images, images)
    assert "".join(kinds) == expected.replace(" ", "")


def test_without_weight_on_fakes_f_is_trained_by_plain_cross_entropy_twice_a_batch() -> None:
    images = textures(3, 4, 32)
    settings = {"fake_weight": 0.0, "copycat_weight": 0.0, "keep": "last", "epochs": 2, "batch_size": 2}
    settings |= {"decay_factor": 0.5, "decay_steps": 2, "learning_rate": 1e-3}
    method = Dias(Dias.Config(**{**TINY, **settings}), make_run())
    prepare = method.prepare_fit

    def prepare_without_dropout(train: Any) -> None:
        prepare(train)
        without_dropout(method.net)
        method.start = copy.deepcopy(method.net)

    method.prepare_fit = prepare_without_dropout  # type: ignore[method-assign]
    method.fit(images, images)

    net = method.start.train()
    optimiser = torch.optim.Adam(net.parameters())
    batches = make_run().batches(images, size=2, steps=4)  # two passes of two batches
    for epoch in range(2):
        for position, batch in enumerate(batches.epoch(epoch)):
            counted = 2 * epoch + min(position, 2)
            optimiser.param_groups[0]["lr"] = 1e-3 * 0.5 ** (counted // 2)
            optimiser.zero_grad()
            F.cross_entropy(net(batch.images)[0], batch.labels).backward()
            optimiser.step()
    weights = dict(method.net.named_parameters())
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(weights[name], parameter, atol=1e-6, rtol=1e-5)


def test_scores_are_probabilities_and_the_confidence_is_their_maximum() -> None:
    images = textures(3, 4, 32, seed=1)
    for temperature in (1.0, 0.1):
        method = tiny(Dias, temperature=temperature)
        prediction = method.predict(images)
        method.net.eval()
        with torch.no_grad():
            logits, _ = method.net(torch.from_numpy(images.batch(slice(None))).permute(0, 3, 1, 2) / 127.5 - 1)
        expected = (logits.double() / temperature).softmax(dim=1).numpy()
        np.testing.assert_allclose(prediction.scores, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(prediction.confidence, prediction.scores.max(axis=1))
        assert bool(((prediction.confidence >= 1 / 3) & (prediction.confidence <= 1)).all())
        assert prediction.features.shape == (12, 16)


def test_only_f_is_kept_and_it_judges_alone() -> None:
    method, images = tiny(Dias), textures(3, 4, 32, seed=1)
    method.update(batch_of(), 1, 0)
    method.net.eval()
    assert set(method.state()) == {"net"}
    assert method.state()["net"].keys() == method.net.state_dict().keys()
    other = copied(method, make_run())
    assert not hasattr(other, "gan")
    assert not hasattr(other, "copycat")
    np.testing.assert_array_equal(other.predict(images).scores, method.predict(images).scores)
