"""What only one module may name."""

from __future__ import annotations

import torch

from methods.core.device import OUT_OF_MEMORY


def test_memory_that_is_not_there_is_told_from_other_errors_whatever_the_device() -> None:
    assert all(issubclass(error, OUT_OF_MEMORY) for error in (MemoryError, torch.cuda.OutOfMemoryError))
    assert not issubclass(RuntimeError, OUT_OF_MEMORY)
