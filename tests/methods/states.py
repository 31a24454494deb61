"""Nested states of methods: copy one, say where two differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def duplicate(tree: Any) -> Any:
    """A nested state with its own tensors and arrays."""
    if isinstance(tree, torch.Tensor):
        return tree.detach().clone()
    if isinstance(tree, np.ndarray):
        return tree.copy()
    if isinstance(tree, Mapping):
        return {key: duplicate(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(duplicate(value) for value in tree)
    return tree


def differences(one: Any, other: Any, path: str = "state") -> list[str]:
    """Where two nested states differ in structure, type or any bit of a value; empty if nowhere."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if set(one) != set(other):
            return [f"{path}: keys {sorted(map(str, set(one) ^ set(other)))} on one side only"]
        return [found for key in one for found in differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, (list, tuple)) and type(one) is type(other):
        if len(one) != len(other):
            return [f"{path}: {len(one)} against {len(other)} entries"]
        pairs = enumerate(zip(one, other, strict=True))
        return [found for at, (a, b) in pairs for found in differences(a, b, f"{path}[{at}]")]
    return [] if _bits(one) == _bits(other) else [f"{path}: {_short(one)} against {_short(other)}"]


def _bits(value: Any) -> tuple[Any, ...]:
    """Kind, shape and bits of a leaf, in a form that compares by value."""
    if isinstance(value, torch.Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        return "tensor", value.dtype, value.shape, flat.view(torch.uint8).numpy().tobytes()
    if isinstance(value, np.ndarray):
        return "array", value.dtype, value.shape, value.tobytes()
    return type(value), value


def _short(value: Any) -> str:
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{type(value).__name__} {tuple(value.shape)} with other values"
    return f"{value!r:.60}"
