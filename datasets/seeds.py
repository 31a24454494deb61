"""Random seeds that are named, so that no draw depends on how many others came before it."""

from __future__ import annotations

import hashlib


def seed_of(*parts: str | int) -> int:
    """A seed in [0, 2**63) that depends on nothing but these words, equal on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
