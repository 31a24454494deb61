"""Nested state (weights, optimiser moments, counters) as safetensors with a JSON outline: no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from datasets.core.outside import open_file
from datasets.core.partial import whole_file
from datasets.core.strict_json import parse_json

Tree = Any  # dict | list | tuple | Tensor | ndarray | int | float | str | bool | None, nested

LARGEST_HEADER = 100_000_000  # bytes; safetensors refuses more only after it has read them

_OUTLINE = "outline"
_TENSOR, _ARRAY, _PAIRS, _TUPLE = "$tensor", "$array", "$pairs", "$tuple"


def save_tree(path: Path, tree: Tree) -> None:
    """Write a nested state; the file appears whole or not at all.

    Raises:
        TypeError: a leaf is neither a tensor, an array nor a plain JSON value.
    """
    tensors: dict[str, Tensor] = {}
    outline = json.dumps(_outline(tree, tensors))
    content = save(tensors, metadata={_OUTLINE: outline})  # `save_file` has errors of its own for a full disk
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content)


def load_tree(path: Path) -> Tree:
    """Read what `save_tree` wrote; tensors lie in main memory.

    Raises:
        OSError, SafetensorError: the file is missing or damaged, or no plain file.
        ValueError: it holds tensors, but no nested state, or declares a header that nothing of ours needs.
    """
    _check_header(path)
    with safe_open(path, framework="pt") as file:
        outline = (file.metadata() or {}).get(_OUTLINE)
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    if outline is None:
        raise ValueError(f"{path.name} has no outline of a stored state")
    try:
        return _inflate(parse_json(outline, finite=False), tensors)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the outline of its state is damaged ({type(error).__name__}: {error})") from None


def _check_header(path: Path) -> None:
    with open_file(path) as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(LARGEST_HEADER, path.stat().st_size):
        raise ValueError(f"it declares a header of {length:,} bytes")


def _outline(tree: Tree, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Tensor):
        return _keep(tree, _TENSOR, tensors)
    if isinstance(tree, np.ndarray):
        return _keep(torch.from_numpy(np.ascontiguousarray(tree)), _ARRAY, tensors)
    if isinstance(tree, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in tree):
            return {key: _outline(value, tensors) for key, value in tree.items()}
        return {_PAIRS: [[key, _outline(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, tuple):
        return {_TUPLE: [_outline(value, tensors) for value in tree]}
    if isinstance(tree, list):
        return [_outline(value, tensors) for value in tree]
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise TypeError(f"cannot store a {type(tree).__name__} in a state file")


def _keep(tensor: Tensor, kind: str, tensors: dict[str, Tensor]) -> dict[str, str]:
    name = f"{len(tensors):05d}"
    tensors[name] = tensor.detach().cpu().contiguous().clone()
    return {kind: name}


def _inflate(outline: Any, tensors: dict[str, Tensor]) -> Tree:
    if isinstance(outline, list):
        return [_inflate(value, tensors) for value in outline]
    if not isinstance(outline, dict):
        return outline
    if _TENSOR in outline:
        return tensors[outline[_TENSOR]]
    if _ARRAY in outline:
        return tensors[outline[_ARRAY]].numpy()
    if _PAIRS in outline:
        return {key: _inflate(value, tensors) for key, value in outline[_PAIRS]}
    if _TUPLE in outline:
        return tuple(_inflate(value, tensors) for value in outline[_TUPLE])
    return {key: _inflate(value, tensors) for key, value in outline.items()}
