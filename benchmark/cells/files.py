"""What cells are written with: JSON and arrays, whole or not at all, and typed objects read from them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from datasets.core.partial import whole_file, write_whole

EVALUATION, HISTORY, LOG, ITERATIONS = "evaluation.json", "history.csv", "run.log", "iterations.json"
CLUSTERS = "clusters"  # folder of kept clusterings

Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T")


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; numbers stay numbers, NaN becomes null."""
    write_whole(path, json.dumps(plain(content), indent=1, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """A nested value as JSON holds it: text keys, plain numbers, None for what is not finite."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def typed(kind: type[T], content: Any) -> T:
    """An object of a dataclass from what JSON holds.

    Raises:
        ValueError: a field is missing, unknown or of another type; in one line.
    """
    try:
        found: T = _adapter(cast(Hashable, kind)).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None
    return found


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", kind))


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays by name, compressed, whole or not at all.

    Raises:
        TypeError: an array holds Python objects, which only a pickle could store.
    """
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:
        raise TypeError(f"cannot store Python objects: {', '.join(objects)}")
    columns: dict[str, Any] = dict(arrays)
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **columns)
