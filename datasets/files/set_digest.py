"""What names the content of a data set: which image is used in which role under which label, and its pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from datasets.files.listing import Listing

UNREADABLE = "-"

Parts = Mapping[str, Mapping[str, Listing]]  # by split, then by role or unknown group


def set_digest(parts: Parts, digest_of: Mapping[str, str]) -> str:
    """SHA-256, independent of the order of the images.

    Args:
        parts: the images that are used.
        digest_of: the digest of the pixels of each image, by name; an unreadable one has none.
    """
    whole = hashlib.sha256()
    for split, roles in sorted(parts.items()):
        for role, listing in sorted(roles.items()):
            whole.update(json.dumps([split, role, listing.classes]).encode())
            rows = sorted(zip(listing.names, listing.labels.tolist(), strict=True))
            # A name holds no control character, so that no two sets give the same text.
            lines = (f"{name}\t{label}\t{digest_of.get(name, UNREADABLE)}\n" for name, label in rows)
            whole.update("".join(lines).encode(errors="surrogateescape"))
    return whole.hexdigest()
