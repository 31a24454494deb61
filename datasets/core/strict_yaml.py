"""YAML that a user wrote: safe, without silent surprises, every complaint with file and line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from datasets.core.mistakes import in_words
from datasets.core.outside import read_file
from datasets.core.text import did_you_mean, shortened, utf8
from datasets.errors import UserError

LARGEST = 4 << 20  # bytes
LONGEST_VALUE = 10_000  # characters of one value on the command line
DEEPEST = 32  # lists and mappings within one another there
DIGITS = 300  # of a number; Python reads no more than 4,300

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

    def nodes(self, location: Location, of_keys: bool) -> list[yaml.Node]:
        """What stands at a location, as far as it exists; or the keys of the mapping around it."""
        node = self.node
        for step in location[:-1] if of_keys else location:
            found = None if node is None else _child(node, step)
            node = node if found is None else found[0]
        if of_keys:
            return [key for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
        return [] if node is None else [node]


def read_yaml(path: Path) -> Document:
    """Read one document.

    Raises:
        UserError: the file cannot be read, is no plain file, not UTF-8, not YAML, or names a key twice.
    """
    try:
        content = read_file(path, LARGEST)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); correct the name") from None
    text = utf8(content, path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if _expanded(node, {}) > len(text) + 1:  # no file has more values than characters, but by references
            raise yaml.YAMLError("its references multiply without end")
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
        nodes = document.nodes(location, of_keys="[key]" in first["loc"])
        raise UserError(f"{where}: {key}: {in_words(first, nodes)}") from None


def yaml_value(text: str) -> Any:
    """A value as people write it on the command line.

    Raises:
        ValueError: it is not YAML, or has references, more depth or longer numbers than any setting needs.
    """
    if len(text) > LONGEST_VALUE:
        raise ValueError(f"it has {len(text):,} characters, no setting needs more than {LONGEST_VALUE:,}")
    if re.search(rf"\d{{{DIGITS}}}", text):
        raise ValueError(f"it has a number of {DIGITS} digits or more")
    try:
        _check_events(text)
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        raise ValueError(f"'{shortened(text)}' is not a YAML value") from None


def _check_events(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise ValueError("it has a reference (& or *), which no setting needs")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def _expanded(node: yaml.Node | None, known: dict[int, int]) -> int:
    """How many values a node holds when every reference in it is written out; one that holds itself counts once."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = 1
        inner = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[id(node)] = 1 + sum(_expanded(part, known) for part in inner)
    return known[id(node)]


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
