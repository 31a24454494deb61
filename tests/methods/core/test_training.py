"""Freezing, evaluating, decaying and recalibrating leave everything else as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from methods.core.training import descend, evaluating, frozen, parameter_count, recalibrate_batch_norm, step_decay
from tests.methods.states import differences, duplicate


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))


def batches(count: int = 5, size: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [3 * torch.randn(size, 3, generator=generator) + 2 for _ in range(count)]


# -- frozen ------------------------------------------------------------------------------------------


def test_a_frozen_network_passes_gradients_on_and_keeps_none() -> None:
    net, inputs = network(), batches()[0].requires_grad_()
    with frozen(net):
        net(inputs).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in net.parameters())


def test_weights_that_were_frozen_before_stay_frozen_afterwards() -> None:
    net = network()
    net[0].requires_grad_(False)
    with frozen(net):
        assert not any(weight.requires_grad for weight in net.parameters())
    assert [weight.requires_grad for weight in net.parameters()] == [False, False, True, True, True, True]


def test_freezing_ends_with_an_error_too() -> None:
    net = network()
    with pytest.raises(KeyError), frozen(net):
        raise KeyError
    assert all(weight.requires_grad for weight in net.parameters())


def test_a_graph_built_before_the_freeze_still_reaches_the_weights_after_it() -> None:
    net, expected = network().eval(), network().eval()
    before = net(batches()[0])
    with frozen(net):
        net(batches()[1].requires_grad_()).sum().backward()
    (before.sum() + net(batches()[2]).sum()).backward()
    (expected(batches()[0]).sum() + expected(batches()[2]).sum()).backward()
    for found, wanted in zip(net.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found.grad, wanted.grad)


# -- evaluating --------------------------------------------------------------------------------------


def test_inside_evaluating_there_is_no_dropout_no_gradient_and_no_new_statistics() -> None:
    net = network()
    before = duplicate(net.state_dict())
    with evaluating(net):
        one, other = net(batches()[0]), net(batches()[0])
    assert torch.equal(one, other)
    assert not one.requires_grad
    assert differences(before, net.state_dict()) == []


def test_evaluating_gives_every_module_its_own_mode_back() -> None:
    net = network().train()
    net[1].eval()
    with evaluating(net):
        assert not any(module.training for module in net.modules())
    assert [module.training for module in net.modules()] == [True, True, False, True, True]
    with pytest.raises(KeyError), evaluating(net):
        raise KeyError
    assert [module.training for module in net.modules()] == [True, True, False, True, True]


# -- descending --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("iteration", "rate"), [(0, 1e-4), (499, 1e-4), (500, 9e-5), (15_269, 4.2391e-6)])
def test_the_learning_rate_falls_by_a_tenth_every_500_iterations(iteration: int, rate: float) -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1e-4)
    schedule = step_decay(optimiser, factor=0.9, every=500)
    for _ in range(iteration):
        descend(weight.sum(), optimiser, schedule)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(rate, rel=2e-5)


def test_a_step_uses_the_gradient_of_this_loss_alone() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    optimiser = torch.optim.SGD([weight], lr=0.1)
    weight.grad = torch.tensor([100.0])
    descend((3 * weight).sum(), optimiser)
    assert weight.item() == pytest.approx(0.7)


# -- recalibration -----------------------------------------------------------------------------------


def test_recalibrated_statistics_are_the_plain_average_over_the_batches() -> None:
    net = network()
    net(100 * batches()[0])  # statistics that have to be forgotten
    recalibrate_batch_norm(net, batches())
    inputs = [net[0](batch).detach() for batch in batches()]
    torch.testing.assert_close(net[1].running_mean, torch.cat(inputs).mean(dim=0))
    variances = torch.stack([batch.var(dim=0, unbiased=True) for batch in inputs])
    torch.testing.assert_close(net[1].running_var, variances.mean(dim=0))


def test_equal_batches_give_the_mean_and_variance_of_the_data_exactly() -> None:
    net = network()
    recalibrate_batch_norm(net, batches(1) * 4)
    values = net[0](batches(1)[0]).detach()
    torch.testing.assert_close(net[1].running_mean, values.mean(dim=0))
    torch.testing.assert_close(net[1].running_var, values.var(dim=0, unbiased=True))


@pytest.mark.parametrize("training", [True, False])
def test_recalibration_changes_neither_weights_nor_modes_nor_momentum(training: bool) -> None:
    net = network().train(training)
    weights = duplicate(dict(net.named_parameters()))
    recalibrate_batch_norm(net, batches())
    assert differences(weights, duplicate(dict(net.named_parameters()))) == []
    assert all(weight.grad is None for weight in net.parameters())
    assert {module.training for module in net.modules()} == {training}
    assert net[1].momentum == 0.1


def test_statistics_move_on_from_the_recalibrated_ones_with_the_usual_momentum() -> None:
    net = network()
    recalibrate_batch_norm(net, batches())
    before = net.state_dict()["1.running_mean"].clone()
    net.train()
    net(batches(6)[5])
    expected = 0.9 * before + 0.1 * net[0](batches(6)[5]).mean(dim=0)
    torch.testing.assert_close(net[1].running_mean, expected.detach())


def test_a_network_without_batch_norm_is_left_alone() -> None:
    net = nn.Sequential(nn.Linear(3, 2))
    before = duplicate(net.state_dict())
    recalibrate_batch_norm(net, batches())
    assert differences(before, net.state_dict()) == []


def test_weights_are_counted_over_all_networks_and_buffers_are_not() -> None:
    assert parameter_count(network(), nn.Linear(1, 1)) == (3 * 4 + 4) + 2 * 4 + (4 * 2 + 2) + 2
