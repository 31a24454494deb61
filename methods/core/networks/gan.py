"""A DCGAN whose images fit the classifier's input, and the two steps that train it.

Source: iCGY96/ARPL (models/gan.py), which DIAS shares: generator and discriminator of 32- and 64-px
images. Kept: layers, widths, N(0, 0.02) initialisation, Adam at 2e-4 with betas (0.5, 0.999).
Changed: images lie in [-1, 1] (tanh for sigmoid); any side that is a multiple of 16 from 32 on; a
discriminator of larger images halves them further at the front, where the original would cost more
than the classifier; its last sigmoid is part of the loss (equal values, but safe from log 0).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.core.state import Tree
from methods.core.training import descend, frozen

SMALLEST_SIDE = 32
FIRST_SIDE = 4  # smallest side of the generator's first layer
LAST_SIDE = 8  # largest side in front of the discriminator's last convolution


class Generator(nn.Module):
    """Noise (B, noise, 1, 1) to images (B, 3, N, N) in [-1, 1].

    Transposed convolutions: one to 4 x 4 (5..7 or an odd side where N is no power of two), then
    doublings with halving channels.

    Args:
        image_size: side N, a multiple of 16, at least 32.
        noise: number of noise values.
        width: channels per unit; the first layer has 8 x width.
    """

    def __init__(self, image_size: int, noise: int = 100, width: int = 64) -> None:
        super().__init__()
        check_side(image_size)
        side, doublings = image_size, 0
        while side % 2 == 0 and side >= 2 * FIRST_SIDE:
            side, doublings = side // 2, doublings + 1
        channels = [max(1, 8 * width // 2**step) for step in range(doublings)]
        layers: list[nn.Module] = [nn.ConvTranspose2d(noise, channels[0], side, 1, 0, bias=False)]
        for inputs, outputs in zip(channels, [*channels[1:], 3], strict=True):
            layers += [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
        self.main = nn.Sequential(*layers, nn.Tanh())
        self.noise = noise
        self.apply(dcgan_init)

    def forward(self, noise: Tensor) -> Tensor:
        images: Tensor = self.main(noise)
        return images


class Discriminator(nn.Module):
    """Images (B, 3, N, N) in [-1, 1] to logits (B,) of "real".

    Halving convolutions (three up to 64 px, one more per further doubling of N), a convolution with a
    sigmoid, the mean over positions, a linear layer.

    Args:
        image_size: side N, a multiple of 16, at least 32.
        width: channels per unit; the last halving layer has 8 x width.
    """

    def __init__(self, image_size: int, width: int = 64) -> None:
        super().__init__()
        check_side(image_size)
        halvings = max(3, math.ceil(math.log2(image_size / LAST_SIDE)))
        channels = [max(1, 8 * width // 2**step) for step in reversed(range(halvings))]
        layers: list[nn.Module] = [nn.Conv2d(3, channels[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for inputs, outputs in zip(channels[:-1], channels[1:], strict=True):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)]
        self.main = nn.Sequential(*layers, nn.Conv2d(channels[-1], 16 * width, 4, bias=False), nn.Sigmoid())
        self.classify = nn.Linear(16 * width, 1)
        self.apply(dcgan_init)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.main(images).mean(dim=(2, 3)))
        return logits.squeeze(1)


def check_side(image_size: int) -> None:
    """Raises ValueError unless images of this side can be made and judged."""
    if image_size < SMALLEST_SIDE or image_size % 16:
        raise ValueError(f"image side {image_size} is not a multiple of 16 from {SMALLEST_SIDE} on")


def dcgan_init(module: nn.Module) -> None:
    """Convolutions N(0, 0.02), batch norm weights N(1, 0.02) and bias 0; other layers as they are."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def real_loss(logits: Tensor) -> Tensor:
    """Binary cross-entropy of logits against "real": mean of -log sigmoid(logit)."""
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def fake_loss(logits: Tensor) -> Tensor:
    """Binary cross-entropy of logits against "made": mean of -log(1 - sigmoid(logit))."""
    return F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))


class Gan:
    """Generator and discriminator with an optimiser each; both always stay in training mode."""

    def __init__(self, generator: Generator, discriminator: Discriminator, learning_rate: float, beta1: float) -> None:
        self.generator, self.discriminator = generator.train(), discriminator.train()
        betas = (beta1, 0.999)
        self.generator_optim = torch.optim.Adam(generator.parameters(), lr=learning_rate, betas=betas)
        self.discriminator_optim = torch.optim.Adam(discriminator.parameters(), lr=learning_rate, betas=betas)

    def fakes(self, count: int, random: torch.Generator) -> Tensor:
        """Images (count, 3, N, N) in [-1, 1] from fresh noise, with their graph."""
        noise = torch.randn(count, self.generator.noise, 1, 1, generator=random, device=random.device)
        images: Tensor = self.generator(noise)
        return images

    def detached_fakes(self, count: int, random: torch.Generator) -> Tensor:
        """As `fakes`, for those who train something else on them."""
        with torch.no_grad():
            return self.fakes(count, random)

    def step_discriminator(self, images: Tensor, fakes: Tensor) -> Tensor:
        """Learn to tell images from fakes (B, 3, N, N); gives the loss before the step.

        Two forward passes, so that batch norm sees real and made images apart.
        """
        loss = real_loss(self.discriminator(images)) + fake_loss(self.discriminator(fakes.detach()))
        descend(loss, self.discriminator_optim)
        return loss.detach()

    def adversarial_loss(self, fakes: Tensor) -> Tensor:
        """How far fakes are from passing as real; the discriminator collects no gradient."""
        with frozen(self.discriminator):
            return real_loss(self.discriminator(fakes))

    def step_generator(self, loss: Tensor) -> None:
        descend(loss, self.generator_optim)

    def state_dict(self) -> Tree:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: Tree) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optim": self.generator_optim,
            "discriminator_optim": self.discriminator_optim,
        }
