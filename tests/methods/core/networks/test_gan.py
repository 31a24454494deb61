from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from methods.core.networks.gan import Discriminator, Gan, Generator, fake_loss, real_loss


def small_gan(learning_rate: float = 2e-4) -> Gan:
    torch.manual_seed(0)
    return Gan(Generator(32, 8, 2), Discriminator(32, 2), learning_rate, 0.5)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def shapes(network: nn.Sequential, x: Tensor, kind: type[nn.Module]) -> list[tuple[int, int]]:
    """Channels and side after every layer of a kind."""
    found = []
    for layer in network:
        with torch.no_grad():
            x = layer(x)
        assert x.shape[2] == x.shape[3]
        if isinstance(layer, kind):
            found.append((x.shape[1], x.shape[2]))
    return found


def multiplications(found: list[tuple[int, int]], first: int, transposed: int = 0) -> int:
    """Of 4 x 4 convolutions that give these shapes; the first `transposed` > 0 sides are those of inputs."""
    total, inputs, side = 0, first, transposed
    for outputs, after in found:
        total += 16 * inputs * outputs * (side if transposed else after) ** 2
        inputs, side = outputs, after
    return total


# -- layers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "layers", "millions", "macs"),
    [
        (32, [(512, 4), (256, 8), (128, 16), (3, 32)], 3.449, 69.5),
        (64, [(512, 4), (256, 8), (128, 16), (64, 32), (3, 64)], 3.577, 104.6),
        (128, [(512, 4), (256, 8), (128, 16), (64, 32), (32, 64), (3, 128)], 3.608, 141.3),
    ],
)
def test_the_generator_has_the_published_layers_and_weights(
    size: int, layers: list[tuple[int, int]], millions: float, macs: float
) -> None:
    network = Generator(size)
    found = shapes(network.main, torch.randn(1, 100, 1, 1), nn.ConvTranspose2d)
    assert found == layers
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=5e-4)
    assert multiplications(found, 100, transposed=1) / 1e6 == pytest.approx(macs, abs=0.05)


@pytest.mark.parametrize(
    ("size", "layers", "millions", "macs"),
    [
        (32, [(128, 16), (256, 8), (512, 4), (1024, 1)], 11.02, 77),
        (64, [(128, 32), (256, 16), (512, 8), (1024, 5)], 11.02, 484),
        (128, [(64, 64), (128, 32), (256, 16), (512, 8), (1024, 5)], 11.15, 625),
    ],
)
def test_the_discriminator_has_the_published_layers_and_weights(
    size: int, layers: list[tuple[int, int]], millions: float, macs: float
) -> None:
    network = Discriminator(size)
    found = shapes(network.main, torch.rand(1, 3, size, size), nn.Conv2d)
    assert found == layers
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=5e-3)
    assert multiplications(found, 3) / 1e6 == pytest.approx(macs, abs=1)


@pytest.mark.parametrize("network", [Generator(64, 8, 4), Discriminator(128, 4)], ids=["generator", "discriminator"])
def test_batch_norm_lies_between_layers_but_not_at_the_ends(network: Generator | Discriminator) -> None:
    kinds = [type(layer).__name__ for layer in network.main]
    inner = ["BatchNorm2d", "ReLU"] if isinstance(network, Generator) else ["LeakyReLU", "Conv2d", "BatchNorm2d"]
    assert kinds[1 : 1 + len(inner)] == inner
    assert kinds[-2:] == (["ConvTranspose2d", "Tanh"] if isinstance(network, Generator) else ["Conv2d", "Sigmoid"])
    convolutions = [layer for layer in network.main if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
    assert all(layer.bias is None for layer in convolutions)
    assert kinds.count("BatchNorm2d") == len(convolutions) - (1 if isinstance(network, Generator) else 2)


@pytest.mark.parametrize("size", [32, 48, 64, 80, 96, 128, 144, 256])
def test_images_of_any_side_fit_the_classifier_and_the_discriminator(size: int) -> None:
    torch.manual_seed(0)
    images = Generator(size, 8, 1)(torch.randn(2, 8, 1, 1))
    assert images.shape == (2, 3, size, size)
    assert images.abs().max() <= 1
    probability = Discriminator(size, 1)(images).sigmoid()
    assert probability.shape == (2,)
    assert bool(((probability > 0) & (probability < 1)).all())


@pytest.mark.parametrize("size", [16, 40, 100])
@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_a_side_that_halves_badly_is_refused(network: type[nn.Module], size: int) -> None:
    with pytest.raises(ValueError, match=f"image side {size} is not a multiple of 16 from 32 on"):
        network(size)


@pytest.mark.parametrize("build", [lambda: Generator(64), lambda: Discriminator(64)])
def test_convolutions_start_small_and_batch_norm_weights_near_one(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    for layer in build().modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert layer.weight.mean().item() == pytest.approx(0, abs=1e-3)
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.mean().item() == pytest.approx(1, abs=0.01)
            assert layer.weight.std().item() == pytest.approx(0.02, abs=0.01)
            assert not layer.bias.any()


# -- losses and steps ------------------------------------------------------------------------------


def test_losses_are_binary_cross_entropies_of_probabilities() -> None:
    logits = torch.tensor([-3.0, -0.5, 0.0, 2.0])
    probability = [1 / (1 + math.exp(-float(z))) for z in logits]
    assert float(real_loss(logits)) == pytest.approx(-sum(map(math.log, probability)) / 4, rel=1e-6)
    assert float(fake_loss(logits)) == pytest.approx(-sum(math.log(1 - p) for p in probability) / 4, rel=1e-6)


def test_losses_stay_finite_and_keep_their_slope_where_probabilities_round_to_zero_and_one() -> None:
    logits = torch.tensor([-200.0], requires_grad=True)
    real_loss(logits).backward()
    assert float(real_loss(logits.detach())) == 200
    assert float(fake_loss(-logits.detach())) == 200
    assert logits.grad is not None
    assert float(logits.grad) == -1


def test_the_discriminator_judges_real_and_made_images_in_separate_batches() -> None:
    gan = small_gan()
    images, fakes = torch.rand(4, 3, 32, 32, generator=random(1)), gan.fakes(6, random())
    reference = copy.deepcopy(gan.discriminator)
    real, made = reference(images).sigmoid(), reference(fakes).sigmoid()
    expected = -real.log().sum() / 4 - (1 - made).log().sum() / 6
    assert gan.step_discriminator(images, fakes).item() == pytest.approx(expected.item(), rel=1e-5)
    mixed = reference(torch.cat([images, fakes])).sigmoid()
    assert not torch.allclose(mixed[:4], real, atol=1e-4)  # what a common batch would have given


def test_the_discriminator_step_leaves_the_generator_alone_and_the_generator_step_the_discriminator() -> None:
    gan = small_gan()
    fakes = gan.fakes(4, random())
    made, judged = weights(gan.generator), weights(gan.discriminator)
    gan.step_discriminator(torch.rand(4, 3, 32, 32), fakes)
    assert equal(weights(gan.generator), made)
    assert not equal(weights(gan.discriminator), judged)
    assert all(parameter.grad is None for parameter in gan.generator.parameters())
    judged = weights(gan.discriminator)
    gradients = [parameter.grad.clone() for parameter in gan.discriminator.parameters() if parameter.grad is not None]
    gan.step_generator(gan.adversarial_loss(fakes))
    assert not equal(weights(gan.generator), made)
    assert equal(weights(gan.discriminator), judged)
    after = [parameter.grad for parameter in gan.discriminator.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(gradients, after, strict=True) if other is not None)


def test_each_side_wins_when_only_it_learns() -> None:
    gan = small_gan(learning_rate=5e-3)
    images, noise = torch.rand(8, 3, 32, 32, generator=random(1)) - 0.5, random()
    losses = [float(gan.step_discriminator(images, gan.detached_fakes(8, noise))) for _ in range(40)]
    assert losses[0] == pytest.approx(2 * math.log(2), abs=0.1)  # an undecided discriminator
    assert losses[-1] < losses[0] / 2
    fooled = []
    for _ in range(40):
        loss = gan.adversarial_loss(gan.fakes(8, noise))
        gan.step_generator(loss)
        fooled.append(loss.item())
    assert fooled[-1] < fooled[0] / 2


def test_fakes_depend_on_weights_and_generator_only_and_may_come_without_graph() -> None:
    gan = small_gan()
    torch.manual_seed(1)
    one = gan.fakes(3, random(5))
    torch.manual_seed(2)
    other = gan.detached_fakes(3, random(5))
    assert torch.equal(one, other)
    assert one.requires_grad
    assert not other.requires_grad
    assert not torch.equal(one, gan.fakes(3, random(6)))


def test_a_restored_gan_goes_on_as_the_saved_one() -> None:
    gan, images = small_gan(), torch.rand(4, 3, 32, 32, generator=random(1))

    def train(trained: Gan, seed: int) -> None:
        fakes = trained.fakes(4, random(seed))
        trained.step_discriminator(images, fakes)
        trained.step_generator(trained.adversarial_loss(fakes))

    train(gan, 0)
    torch.manual_seed(3)
    other = Gan(Generator(32, 8, 2), Discriminator(32, 2), 2e-4, 0.5)
    other.load_state_dict(copy.deepcopy(gan.state_dict()))
    for trained in (gan, other):
        train(trained, 1)
    assert equal(weights(gan.generator), weights(other.generator))
    assert equal(weights(gan.discriminator), weights(other.discriminator))
