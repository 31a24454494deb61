"""`--checkpoint METHOD=DIR`: rows of released weights instead of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.cells.cell import Cell
from benchmark.cells.plan import Request
from datasets.errors import UserError
from datasets.types import ImageSet
from methods.core.method import Method, Task
from methods.core.released import TakesReleased, fingerprints

RELEASED = "released"  # how the rows are called: METHOD@released


def parse_checkpoints(items: Sequence[str]) -> dict[str, Path]:
    """Folders by method from `METHOD=DIR` items.

    Raises:
        UserError: an item has another form, or its folder is not there.
    """
    folders: dict[str, Path] = {}
    for item in items:
        key, equals, folder = item.partition("=")
        if not (key and equals and folder):
            raise UserError(f"--checkpoint {item}: write METHOD=DIR")
        if key in folders:
            raise UserError(f"--checkpoint {item}: '{key}' has two folders; give one")
        if not Path(folder).is_dir():
            raise UserError(f"--checkpoint {item}: there is no folder {folder}; unpack the released weights there")
        folders[key] = Path(folder).absolute()
    return folders


def with_released(requests: Sequence[Request], folders: Mapping[str, Path]) -> list[Request]:
    """The requests, those of the named methods turned into rows of released weights.

    Raises:
        UserError: a method is not asked for, or cannot take released weights.
    """
    asked = {request.choice.key for request in requests}
    for key in folders:
        if key not in asked:
            raise UserError(f"--checkpoint {key}=… is for a method that is not asked for; add it to --methods")
    return [_released(request, folders.get(request.choice.key)) for request in requests]


def _released(request: Request, folder: Path | None) -> Request:
    if folder is None:
        return request
    plugin = request.choice.plugin
    if not issubclass(plugin, TakesReleased):
        raise UserError(f"--checkpoint {plugin.name}=…: method '{plugin.name}' takes no released weights; train it")
    return replace(request, label="-".join(filter(None, [request.label, RELEASED])), released=folder)


def released_folders(requests: Sequence[Request]) -> dict[str, Path]:
    """Where the released weights of a row lie, by the key of the row."""
    return {request.key: request.released for request in requests if request.released is not None}


def take_released(method: Method, folder: Path, cell: Cell, train: ImageSet) -> None:
    """Give a method its released weights.

    Raises:
        UserError: the files are not those that the cell was planned for, or do not fit the method.
    """
    if not isinstance(method, TakesReleased):
        raise TypeError(f"{cell.method} takes no released weights")
    if fingerprints(method.released_files(folder, cell.split), folder) != cell.released:
        raise UserError(f"the files in {folder} have changed since this run began; start it again")
    method.take_released(folder, cell.split, Task.of(train))
