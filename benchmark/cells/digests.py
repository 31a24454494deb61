"""The files of a cell by their digests: what was edited, exchanged, taken away or linked elsewhere since."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmark.cells.files import CLUSTERS, EVALUATION
from benchmark.cells.path import CELL
from datasets.core.outside import check_plain, open_file

BLOCK = 1 << 20  # bytes read at a time
REWRITTEN = (CELL, EVALUATION, CLUSTERS)  # the record itself, and what follows from the rest and is computed again

Digests = Mapping[str, str]  # SHA-256 by the path below the folder of the cell


def sha256(path: Path) -> str:
    """The digest of a plain file.

    Raises:
        OSError: it cannot be read, or is no plain file.
    """
    digest = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """The digests of all files of a cell but those that are computed again."""
    return {name: sha256(folder / name) for name in entries(folder) if name.partition("/")[0] not in REWRITTEN}


def entries(folder: Path) -> list[str]:
    """Everything below a folder that is no folder, sorted; links are not followed, hidden entries passed over."""
    found: list[str] = []
    for here, folders, names in os.walk(folder):
        linked = [name for name in folders if (Path(here) / name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".") and name not in linked]
        shown = [name for name in (*names, *linked) if not name.startswith(".")]
        found += [(Path(here) / name).relative_to(folder).as_posix() for name in shown]
    return sorted(found)


def strange_entries(folder: Path) -> Iterator[tuple[str, str]]:
    """Entries of a cell that are links or no plain files, each with what is wrong."""
    for name in entries(folder):
        path = folder / name
        if path.is_symlink():
            yield name, f"{name} is a link to {path.readlink()}; put the file itself there"
            continue
        try:
            check_plain(path)
        except OSError as error:
            yield name, f"{name}: {error.strerror}"


def changed_files(folder: Path, stored: Digests, must_have: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Files that are not what was stored, each with what is wrong; strange entries are left to `strange_entries`.

    Args:
        stored: the digests that the record holds.
        must_have: whether a file of this name belongs here; a committed cell has the small ones alone.
    """
    there = set(entries(folder))
    strange = {name for name, _ in strange_entries(folder)}
    for name, digest in stored.items():
        if name not in there:
            if must_have(name):
                yield name, f"{name} is missing"
        elif name not in strange and (found := sha256(folder / name)) != digest:
            yield name, f"{name} {_difference(folder / name, found, stored)}"
    for name in sorted(there - set(stored) - strange):
        if name.partition("/")[0] not in REWRITTEN:
            yield name, f"{name} was not stored with the cell; take it away"


def _difference(path: Path, found: str, stored: Digests) -> str:
    if not path.stat().st_size:
        return "is empty now"
    other = next((name for name, digest in stored.items() if digest == found), None)
    return f"holds what {other} should hold" if other is not None else "was edited or cut off since it was stored"
