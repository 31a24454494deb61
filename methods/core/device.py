"""The one place that names devices, and what has to be set so that a device computes the same twice."""

from __future__ import annotations

import os
import random

import numpy as np
import torch

from datasets.errors import UserError

CHOICES = ("auto", "cpu", "cuda", "mps")
OUT_OF_MEMORY: tuple[type[Exception], ...] = (MemoryError, torch.cuda.OutOfMemoryError)  # of this machine or its device


def choose(name: str = "auto") -> torch.device:
    """The device of a name; `auto` takes CUDA, then Apple's GPU, then the CPU.

    Raises:
        UserError: the name is unknown or this machine lacks the device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = name.split(":")[0]
    if kind not in CHOICES:
        raise UserError(f"unknown device '{name}'; use one of {', '.join(CHOICES)}")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[kind]:
        raise UserError(f"device '{name}' is not available on this machine; use --device auto")
    return torch.device(name)


def is_accelerator(device: torch.device) -> bool:
    """Whether cells would share one scarce device instead of many cores."""
    return device.type != "cpu"


def make_deterministic(threads: int) -> None:
    """Fix thread count and algorithms of this process: same seed, same numbers."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("warn")
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def seed_everything(seed: int) -> None:
    """Seed the global generators that library code draws from (dropout, default initialisation)."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def peak_memory(device: torch.device) -> int:
    """Largest memory use so far in bytes: of the device where it counts that, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # absent on Windows, where only CUDA figures are available

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def synchronise(device: torch.device) -> None:
    """Wait for queued work, so that a clock measures it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
