"""Trunks from timm, and weights that a user supplies for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from datasets.errors import UserError

if TYPE_CHECKING:
    from timm.models.resnet import ResNet


def resnet_trunk(name: str, setting: str, **arguments: Any) -> ResNet:
    """A ResNet of timm with random weights, without pooling and classifier.

    Args:
        name: as timm calls it.
        setting: how the user gave the name, for the message.
        arguments: further ones of the network, such as its channels.

    Raises:
        UserError: timm has no ResNet of this name.
    """
    import timm  # takes seconds, and most commands build no such trunk
    from timm.models import is_model_in_modules

    if not is_model_in_modules(name, {"resnet"}):
        raise UserError(f"setting {setting}='{name}' is refused; name a ResNet of timm")
    return cast("ResNet", timm.create_model(name, pretrained=False, num_classes=0, global_pool="", **arguments))


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
