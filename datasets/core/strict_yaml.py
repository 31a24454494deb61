"""YAML that a user wrote: safe, without silent surprises, every complaint with file and line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from datasets.core.text import did_you_mean, utf8
from datasets.errors import UserError

LARGEST = 4 << 20  # bytes

Model = TypeVar("Model", bound=BaseModel)
Location = Sequence[str | int]  # keys and positions from the top


@dataclass(frozen=True)
class Document:
    """A parsed file that still knows its lines."""

    path: Path
    value: Any
    node: yaml.Node | None

    def where(self, location: Location = ()) -> str:
        """FILE:LINE of the innermost part of a location that exists."""
        node, line = self.node, 1
        for step in location:
            found = _child(node, step)
            if found is None:
                break
            node, line = found
        return f"{self.path}:{line}"


def read_yaml(path: Path) -> Document:
    """Read one document.

    Raises:
        UserError: the file cannot be read, is not UTF-8, not YAML, or names a key twice.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} has more than {LARGEST:,} bytes; this is no description of a data set")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); correct the name") from None
    text = utf8(content, path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = Document(path, yaml.safe_load(text), node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: not valid YAML ({error.problem}); correct this line") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML ({str(error).splitlines()[0]}); write it anew") from None
    _refuse_twins(path, node, set())
    return document


def parsed(model: type[Model], document: Document) -> Model:
    """Validate a document.

    Raises:
        UserError: with the line, the key and the remedy of the first mistake.
    """
    if not isinstance(document.value, dict):
        raise UserError(f"{document.path} is not a mapping of keys to values; see datasets/splits/example.yaml")
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        # A misspelt key is also a missing one; the former says more.
        first = min(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
        location = [step for step in first["loc"] if step != "[key]"]
        key = ".".join(map(str, location))
        where = document.where(location)
        if first["type"] == "missing":
            raise UserError(f"{where}: key '{key}' is missing; add it") from None
        if first["type"] == "extra_forbidden":
            known = _fields_around(model, location)
            hint = did_you_mean(str(location[-1]), known)
            raise UserError(f"{where}: unknown key '{key}'{hint}; keys are {', '.join(known)}") from None
        reason = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {key}: {reason[:1].lower()}{reason[1:]}; correct it") from None


def _fields_around(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that are allowed where an unknown one stands."""
    current: Any = model
    for step in location[:-1]:
        current = get_args(current)[1] if get_origin(current) is dict else current.model_fields[step].annotation
        if get_origin(current) is Annotated:
            current = get_args(current)[0]
    return list(current.model_fields)


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line + 1
    return None


def _refuse_twins(path: Path, node: yaml.Node | None, seen: set[int]) -> None:
    """A key that stands twice in a mapping would silently lose its first value."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_twins(path, value, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in keys:
                raise UserError(f"{path}:{key.start_mark.line + 1}: key '{name}' stands twice; keep one of them")
            keys.add(name)
            _refuse_twins(path, value, seen)
