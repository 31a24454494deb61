"""Weights that a user supplies for the trunk of a network."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from datasets.errors import UserError


def load_trunk(trunk: nn.Module, path: Path, setting: str) -> None:
    """Read a trunk's weights; those of a classifier on top ("fc.") are passed over.

    Args:
        path: a safetensors file with the trunk's own names.
        setting: how the user gave the path, for the message.

    Raises:
        UserError: the file is missing, no safetensors file, or of another network.
    """
    try:
        weights = {name: value for name, value in load_file(path).items() if not name.startswith("fc.")}
        trunk.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{setting}={path} cannot be used ({reason}); give a safetensors file of the trunk") from None
