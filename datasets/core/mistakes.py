"""Own words for what people often get wrong in a YAML file, each with the remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_PREFIX = "tag:yaml.org,2002:"

# What YAML makes of a word without quotes, by the name of its type.
_READ_AS = {
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "null": "nothing",
    "timestamp": "a date",
}
_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list, such as [a, b]",
    "dict_type": "keys with values",
    "model_type": "a folder, a list of folders, or keys with values",
    "finite_number": "a finite number",
}


def in_words(mistake: Mapping[str, Any], nodes: Sequence[yaml.Node]) -> str:
    """What is wrong and what to do.

    Args:
        mistake: one error of pydantic.
        nodes: what stands at its place in the file; the keys of the mapping, where a key is wrong.
    """
    kind, given = mistake["type"], mistake["input"]
    if kind == "string_type":
        return _not_text(given, nodes)
    if kind == "too_short":
        found, least = len(given), mistake["ctx"]["min_length"]
        return f"{found} given, at least {least} needed; add {'one' if least - found == 1 else least - found}"
    if kind in _WANTED:
        quoted = isinstance(given, str) and kind.startswith(("int", "float", "bool"))
        remedy = "write it without quotes" if quoted and kind.endswith("_type") else f"write {_WANTED[kind]}"
        return f"{_shown(given, nodes)} is not {_WANTED[kind]}; {remedy}"
    reason = mistake["msg"].removeprefix("Value error, ")
    return f"{reason[:1].lower()}{reason[1:]}" + ("" if "; " in reason else "; correct it")


def _not_text(given: Any, nodes: Sequence[yaml.Node]) -> str:
    for node in nodes:
        read_as = _READ_AS.get(node.tag.removeprefix(_PREFIX))
        if isinstance(node, yaml.ScalarNode) and read_as is not None:
            if not node.value:
                return "it is empty; write a name"
            return f'{node.value} is read as {read_as}, not as text; put it in quotes: "{node.value}"'
    return f"{_shown(given, nodes)} is not text; write one name"


def _shown(given: Any, nodes: Sequence[yaml.Node]) -> str:
    """As the file has it, as far as it is short."""
    scalar = next((node.value for node in nodes if isinstance(node, yaml.ScalarNode)), None)
    if isinstance(given, (list, dict)):
        return "a list" if isinstance(given, list) else "a mapping"
    words = repr(given) if scalar is None or isinstance(given, str) else scalar
    return words if len(words) <= 80 else f"{words[:77]}..."
