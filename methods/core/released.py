"""Weights that authors released as torch files: the only place that reads such files, tensors only.

A torch file is a pickle, and a pickle can run programs; here nothing but tensors and plain values is ever read.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datasets.core.outside import check_plain, open_file
from datasets.errors import UserError
from methods.core.method import Task
from methods.core.training import first_difference

STATE = "state_dict"  # under which most authors keep the weights, beside epoch, name and optimiser
PARALLEL = "module."  # what nn.DataParallel puts before every name


class TakesReleased(ABC):
    """A method that can be had from released weights instead of being trained.

    The harness asks a plugin for this class and knows nothing else about released weights.
    """

    @classmethod
    @abstractmethod
    def released_files(cls, folder: Path, split: str) -> Sequence[Path]:
        """All files that `take_released` reads; their content identifies the result.

        Args:
            folder: what the authors released, unpacked.
            split: name of the split, such as "split1".

        Raises:
            UserError: there is nothing for this split.
        """

    @abstractmethod
    def take_released(self, folder: Path, split: str, task: Task) -> None:
        """Become what `fit` would have made.

        Raises:
            UserError: a file is damaged or of another network.
        """


def fingerprints(paths: Sequence[Path], folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path below the folder."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            with open_file(path) as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}); check the folder of --checkpoint") from None
        found[path.relative_to(folder).as_posix()] = digest.hexdigest()
    return found


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a torch file by their names, in main memory.

    The file holds them under "state_dict" or is nothing else; a prefix "module." is dropped.

    Raises:
        UserError: the file is missing or damaged, holds objects other than tensors and plain values, or no weights.
    """
    try:
        check_plain(path)
        content = torch.load(path, map_location=_stay, weights_only=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}); check --checkpoint") from None
    except Exception as error:  # noqa: BLE001 - a strange file may raise whatever it likes while it is read
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is no file of plain weights ({reason}); download it again") from None
    weights = content.get(STATE, content) if isinstance(content, dict) else None
    if not isinstance(weights, Mapping) or not _are_weights(weights):
        raise UserError(f"{path} holds no weights by name; give a file with a '{STATE}'")
    prefix = PARALLEL if all(name.startswith(PARALLEL) for name in weights) else ""
    return {name.removeprefix(prefix): value for name, value in weights.items()}


def load_released(network: nn.Module, path: Path) -> None:
    """Put the weights of a torch file into a network of the same names and shapes.

    Raises:
        UserError: as `read_weights`, or the first difference between the file and the network.
    """
    weights = read_weights(path)
    difference = first_difference(weights, network.state_dict()) or _not_finite(weights)
    if difference is not None:
        remedy = "released weights fit one width, image size and number of classes (try --preset paper)"
        raise UserError(f"{path} is of another network: {difference}; {remedy}")
    network.load_state_dict(weights)


def _not_finite(weights: Mapping[str, Tensor]) -> str | None:
    broken = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
    return f"its '{broken[0]}' is not finite" if broken else None


def _are_weights(content: Mapping[Any, Any]) -> bool:
    named = all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items())
    return bool(content) and named


def _stay(storage: Any, location: str) -> Any:
    """Leave weights in main memory, on whatever device they were saved."""
    return storage
