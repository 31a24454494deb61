"""Which of the images that a list names lie on disk, and that none of them lies outside the data root."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from datasets.errors import UserError


def present_images(bases: Sequence[Path], names: Iterable[str]) -> dict[str, str]:
    """The path of each image that is there, by name.

    A name with ":" is also found with "_" in its place, as some unpackers write it, unless the list holds that name
    too. Links are followed as long as they stay below their base.

    Args:
        bases: folders that names are relative to; the first one that has an image wins.
        names: relative paths with "/", without "." or "..".

    Raises:
        UserError: a link leads out of its base.
    """
    wanted: dict[str, list[str]] = {}
    for name in names:
        wanted.setdefault(name.rpartition("/")[0], []).append(name)
    found: dict[str, str] = {}
    for base in bases:
        for folder in sorted(wanted):
            for name, path in _in_folder(base, folder, wanted[folder]):
                found.setdefault(name, path)
    return found


def _in_folder(base: Path, folder: str, names: Sequence[str]) -> list[tuple[str, str]]:
    there = _folder_on_disk(base, folder)
    if there is None:
        return []
    stay_below(there, base)
    with os.scandir(there) as entries:
        files = {entry.name: entry for entry in entries if entry.is_file()}
    listed = {name.rpartition("/")[2] for name in names}
    found = []
    for name in names:
        last = name.rpartition("/")[2]
        spare = last.replace(":", "_")
        entry = files.get(last) or (files.get(spare) if spare not in listed else None)
        if entry is None:
            continue
        if entry.is_symlink():
            stay_below(Path(entry.path), base)
        found.append((name, entry.path))
    return found


def _folder_on_disk(base: Path, folder: str) -> Path | None:
    for spelling in dict.fromkeys((folder, folder.replace(":", "_"))):
        try:
            if (base / spelling).is_dir():
                return base / spelling
        except OSError:  # a name that no disk can hold
            continue
    return None


def stay_below(path: Path, base: Path) -> None:
    """Links are followed as long as they lead somewhere below the base.

    Raises:
        UserError: the path leads elsewhere.
    """
    top = os.path.realpath(base)
    if os.path.commonpath((top, os.path.realpath(path))) != top:
        raise UserError(
            f"{path} is a link that leads out of {base}; put the files themselves there, or, for images of your own, "
            "write follow_links: true into their YAML file"
        )
