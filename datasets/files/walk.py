"""Which files below a folder are images, and why the others are not: one walk for folders, patterns and predictions."""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from datasets.files.present import stay_below
from datasets.pixels.decode import FORMATS

WILDCARD = re.compile(r"[*?\[]")
ANY_FOLDERS = "**"

# What systems and programs leave beside images, in lower case.
LEFTOVERS = {
    "__macosx": "__MACOSX",
    "@eadir": "thumbnails",
    ".thumbnails": "thumbnails",
    "thumbs.db": "thumbnails",
    "ehthumbs.db": "thumbnails",
    ".ds_store": "hidden",
    "desktop.ini": "hidden",
}
EXTENSION = "extension "  # how a reason begins that names one


class Found(NamedTuple):
    """What a walk met.

    Attributes:
        names: images, relative to the base with "/", sorted.
        passed: numbers of files that were passed over, by reason.
    """

    names: list[str]
    passed: Mapping[str, int]


class Walk:
    """A search below a base folder.

    Hidden files and folders are passed over unless a place spells their name. Links to files are read. A link to a
    folder is followed where a place spells its name or has "*" for it, and below a place if `follow_links` is set.
    """

    def __init__(self, base: Path, follow_links: bool = False, confined: bool = True) -> None:
        """Prepare it.

        Args:
            base: names are relative to it.
            follow_links: whether links may lead out of the base, and links to folders are followed everywhere.
            confined: whether links that lead out of the base are refused where they are not followed.
        """
        self.base, self._follow, self._confined = base, follow_links, confined and not follow_links
        self._names: set[str] = set()
        self._links: set[str] = set()  # names of files that are links, or may be
        self._passed: dict[str, tuple[str, int]] = {}  # reason and number of files, by name
        self._entered: set[str] = set()  # real paths of linked folders

    def images(self, place: str = "") -> Found:
        """The images of a folder, with everything below it, or of a pattern ("*": any name, "**": any folders).

        Raises:
            UserError: a link leads out of the base.
            ValueError: the pattern is none.
            OSError: a folder cannot be read.
        """
        self._names, self._links, self._passed, self._entered = set(), set(), {}, set()
        is_folder = (self.base / place).is_dir()
        steps = [step for step in place.split("/") if step not in ("", ".")]
        if is_folder:
            self._visit(_prefix(steps), (ANY_FOLDERS, "*"))
        else:
            self._visit("", (*steps, "*") if steps[-1] == ANY_FOLDERS else tuple(steps))
        if self._confined:
            self._check_links()
        return Found(sorted(self._names), _summed(self._passed.values()))

    def folders(self, pattern: str) -> list[str]:
        """The folders that match a pattern without "**", sorted; hidden ones and leftovers do not."""
        found = [""]
        for step in filter(lambda step: step not in ("", "."), pattern.split("/")):
            found = [f"{folder}{name}/" for folder in found for name in self._sub_folders(folder, step)]
        return sorted(name.removesuffix("/") for name in found)

    def _sub_folders(self, folder: str, step: str) -> Iterator[str]:
        if not WILDCARD.search(step):
            yield from [step] if (self.base / folder / step).is_dir() else []
            return
        for entry in self._listed(folder):
            if entry.is_dir() and _matches(entry.name, step) and _leftover(entry.name) is None:
                yield entry.name

    def _visit(self, folder: str, steps: Sequence[str]) -> None:
        """Take what the steps lead to from a folder, which is "" or ends with "/"."""
        step, rest = steps[0], steps[1:]
        if step == ANY_FOLDERS:
            self._visit(folder, rest)
            for name in self._entered_below(folder):
                self._visit(name, steps)
        elif not WILDCARD.search(step):
            self._spelt(folder + step, rest)
        else:
            for entry in self._listed(folder):
                if _matches(entry.name, step):
                    self._matched(folder + entry.name, entry, rest)

    def _spelt(self, name: str, rest: Sequence[str]) -> None:
        path = self.base / name
        if rest and path.is_dir():
            self._visit(f"{name}/", rest)
        elif not rest and path.is_file():
            self._links.add(name)
            self._take(name, None)

    def _matched(self, name: str, entry: os.DirEntry[str], rest: Sequence[str]) -> None:
        if rest:
            if entry.is_dir() and not self._is_left(name, entry):
                self._visit(f"{name}/", rest)
        elif entry.is_file():
            if entry.is_symlink():
                self._links.add(name)
            self._take(name, _leftover(entry.name))
        elif not entry.is_dir():
            self._passed[name] = "broken links" if entry.is_symlink() else "no regular files", 1

    def _entered_below(self, folder: str) -> Iterator[str]:
        for entry in self._listed(folder):
            if not entry.is_dir():
                continue
            name = folder + entry.name
            if not self._is_left(name, entry) and (not entry.is_symlink() or self._may_enter(name, entry)):
                yield f"{name}/"

    def _is_left(self, name: str, entry: os.DirEntry[str]) -> bool:
        """Whether a folder is hidden or a leftover; its files are counted."""
        reason = _leftover(entry.name)
        if reason is not None:
            self._passed[name] = reason, _files_below(entry.path)
        return reason is not None

    def _may_enter(self, name: str, entry: os.DirEntry[str]) -> bool:
        """Whether a linked folder is followed, once."""
        if self._confined:
            stay_below(Path(entry.path), self.base)
        target = os.path.realpath(entry.path)
        if not self._follow or target in self._entered or self._is_above(target, name):
            self._passed[name] = "in linked folders", _files_below(target)
            return False
        self._entered.add(target)
        return True

    def _is_above(self, target: str, name: str) -> bool:
        """Whether a folder holds a name itself, by whatever links the name leads there: a circle."""
        steps = name.split("/")[:-1]
        above = (os.path.realpath(self.base / "/".join(steps[:count])) for count in range(len(steps) + 1))
        return any(os.path.commonpath((folder, target)) == target for folder in above)

    def _take(self, name: str, leftover: str | None) -> None:
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 (a Path takes longer)
        if leftover is not None:
            self._passed[name] = leftover, 1
        elif suffix not in FORMATS:
            self._passed[name] = EXTENSION + (suffix or "without extension"), 1
        else:
            self._names.add(name)

    def _listed(self, folder: str) -> list[os.DirEntry[str]]:
        with os.scandir(self.base / folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)

    def _check_links(self) -> None:
        folders = {name.rpartition("/")[0] for name in self._names}
        for name in sorted(folders | (self._links & self._names)):
            stay_below(self.base / name, self.base)


def passed_text(passed: Mapping[str, int]) -> str:
    """Numbers by reason for a line of text, extensions first: `by extension: 2 .txt; hidden: 1`."""
    extensions, others = list[str](), list[str]()
    for reason, number in sorted(passed.items()):
        if reason.startswith(EXTENSION):
            extensions.append(f"{number:,} {reason.removeprefix(EXTENSION)}")
        else:
            others.append(f"{reason}: {number:,}")
    return "; ".join([f"by extension: {', '.join(extensions)}"] * bool(extensions) + others)


def _summed(counts: Iterable[tuple[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for reason, number in counts:
        total[reason] += number
    return total


def _prefix(steps: Sequence[str]) -> str:
    return "".join(f"{step}/" for step in steps)


def _matches(name: str, step: str) -> bool:
    if ANY_FOLDERS in step:
        raise ValueError(f"'{ANY_FOLDERS}' stands for whole folders, not in '{step}'")
    return re.match(fnmatch.translate(step), name) is not None


def _leftover(name: str) -> str | None:
    return LEFTOVERS.get(name.lower(), "hidden" if name.startswith(".") else None)


def _files_below(folder: str) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))
