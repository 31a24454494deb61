"""What the tests of methods with a GAN share: a method that is ready to train, a batch, its weights."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import Tensor, nn

from methods.core.batches import Batch
from methods.core.gan_method import GanMethod
from tests.methods.data import make_run, textures

TINY: dict[str, Any] = {"width": 2, "generator_width": 1, "discriminator_width": 1, "noise_size": 8, "epochs": 1}

M = TypeVar("M", bound=GanMethod)


def tiny(plugin: type[M], classes: int = 3, **settings: Any) -> M:
    """A method that is ready to train, in training mode."""
    run = make_run()
    method = plugin(plugin.Config(**{"learning_rate": 1e-3, **TINY, **settings}), run)
    method.prepare_fit(textures(classes, 4, 32))
    method.noise = run.generator("noise")
    method.net.train()
    return method


def batch_of(classes: int = 3) -> Batch:
    return next(make_run().batches(textures(classes, 4, 32), size=2).epoch(0))


def tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
