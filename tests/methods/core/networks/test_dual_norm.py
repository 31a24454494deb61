from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from methods.core.networks.dual_norm import AUXILIARY, MAIN, DualBatchNorm2d, branch, unmoved_statistics
from methods.core.networks.simple_cnn import SimpleCnn


def small_network() -> SimpleCnn:
    torch.manual_seed(0)
    return SimpleCnn(3, 32, width=2, norm=DualBatchNorm2d)


def images(seed: int = 0) -> Tensor:
    return torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def buffers(network: nn.Module, index: int) -> dict[str, Tensor]:
    """Running statistics of one branch of all doubled layers."""
    return {name: value.clone() for name, value in network.named_buffers() if f"branches.{index}." in name}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("used", "spared"), [(MAIN, AUXILIARY), (AUXILIARY, MAIN)])
def test_a_forward_through_one_branch_leaves_the_statistics_of_the_other_bit_identical(used: int, spared: int) -> None:
    network = small_network().train()
    before = buffers(network, used), buffers(network, spared)
    assert len(before[1]) == 8 * 3  # eight layers; mean, variance, count
    with branch(network, used):
        network(images())
    assert not equal(buffers(network, used), before[0])
    assert equal(buffers(network, spared), before[1])


def test_each_branch_is_a_batch_norm_of_its_own() -> None:
    layer = DualBatchNorm2d(4)
    references = []
    for position, own in enumerate(layer.branches):
        reference = nn.BatchNorm2d(4)
        for module in (own, reference):
            nn.init.constant_(module.weight, 2.0 + position)
            nn.init.constant_(module.bias, 0.5 - position)
        references.append(reference)
    for seed, index in enumerate((MAIN, AUXILIARY, AUXILIARY, MAIN)):
        x = images(seed)[:, :1].expand(-1, 4, -1, -1) * (1 + seed) + seed
        with branch(layer, index):
            assert torch.equal(layer(x), references[index](x))
    layer.eval()
    assert torch.equal(layer(x), references[MAIN].eval()(x))  # evaluation uses the main branch unless told otherwise


def test_gradients_reach_the_weights_of_the_used_branch_only() -> None:
    network = small_network().train()
    with branch(network, AUXILIARY):
        loss = network(images())[0].sum()
    loss.backward()  # after the branch was switched back
    norm = network.main[0].main[1]
    assert norm.branches[AUXILIARY].weight.grad is not None
    assert norm.branches[MAIN].weight.grad is None


def test_the_former_branch_comes_back_after_nesting_and_after_an_error() -> None:
    network = small_network()
    layer = network.main[0].main[1]
    with branch(network, AUXILIARY):
        with branch(network, MAIN):
            assert layer.active == MAIN
        assert layer.active == AUXILIARY
    assert layer.active == MAIN
    with pytest.raises(KeyError), branch(network, AUXILIARY):
        raise KeyError
    assert layer.active == MAIN


def test_a_network_without_doubled_layers_refuses_a_branch() -> None:
    with pytest.raises(ValueError, match="SimpleCnn has no DualBatchNorm2d"), branch(SimpleCnn(3, 32, 2), AUXILIARY):
        pass


def test_doubling_adds_3840_weights_and_3840_running_statistics_to_the_published_network() -> None:
    plain, doubled = SimpleCnn(15, 16), SimpleCnn(15, 16, norm=DualBatchNorm2d)  # the side does not matter here

    def sizes(network: nn.Module) -> tuple[int, int]:
        statistics = (value for name, value in network.named_buffers() if "running" in name)
        return sum(p.numel() for p in network.parameters()), sum(value.numel() for value in statistics)

    weights, statistics = sizes(plain)
    assert statistics == 3_840
    assert sizes(doubled) == (weights + 3_840, 3_840 + 3_840)


def test_unmoved_statistics_normalises_with_the_batch_and_remembers_nothing() -> None:
    network = small_network().train()
    network.classification_head[0].p = 0.0
    network(images(1))
    before = {name: value.clone() for name, value in network.named_buffers()}
    with unmoved_statistics(network):
        inside = network(images(2))[0]
    assert equal(before, dict(network.named_buffers()))
    assert torch.equal(inside, network(images(2))[0])  # the same output as without
    assert not equal(before, dict(network.named_buffers()))
