"""Doubled batch normalisation: real and made-up images never share statistics.

Source: the auxiliary batch norm of Chen et al., TPAMI 2021 (iCGY96/ARPL, models/ABN.py), which DIAS
(Moon et al., ECCV 2022) took over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

MAIN, AUXILIARY = 0, 1


class DualBatchNorm2d(nn.Module):
    """Two independent `BatchNorm2d`, each with its own weight, bias and running statistics.

    One branch serves a whole forward pass: `MAIN` unless `branch` says otherwise.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.BatchNorm2d(channels) for _ in (MAIN, AUXILIARY))
        self.active = MAIN

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        output: Tensor = self.branches[self.active](x)
        return output


@contextmanager
def branch(network: nn.Module, index: int) -> Iterator[None]:
    """Every doubled layer of the network uses one branch inside, and its former one afterwards.

    Raises:
        ValueError: the network has no doubled layer, so that the branch would be ignored.
    """
    layers = [module for module in network.modules() if isinstance(module, DualBatchNorm2d)]
    if not layers:
        raise ValueError(f"{type(network).__name__} has no DualBatchNorm2d, so it has no branch {index}")
    before = [layer.active for layer in layers]
    try:
        for layer in layers:
            layer.active = index
        yield
    finally:
        for layer, former in zip(layers, before, strict=True):
            layer.active = former


@contextmanager
def unmoved_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation in training mode uses the batch's statistics inside, but remembers none of them."""
    layers = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    try:
        for layer in layers:
            layer.momentum, layer.num_batches_tracked = 0.0, None
        yield
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count
