"""How a row is called: `name` of a method, or `name@variant`."""

from __future__ import annotations

SEPARATOR = "@"


def row_key(name: str, variant: str | None) -> str:
    """The key of a method with a variant, or of the plain method."""
    return f"{name}{SEPARATOR}{variant}" if variant else name


def parse_key(key: str) -> tuple[str, str | None]:
    """Name and variant of a key; None for the plain method."""
    name, _, variant = key.partition(SEPARATOR)
    return name, variant or None
