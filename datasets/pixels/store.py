"""Decode once, image by image: one growing file of pixels for a data root and an image size.

Presets, splits and processes ask for different images of the same root, so a root has one store that grows by what
is asked for and was not there yet; a pool that is made in one go would hold every image once per preset. Two files:

- `<key>.pixels`: rows of S x S x 3 bytes, read through a memory map. A row that the ledger names is never written
  again, so whoever holds a view keeps its pixels. An image whose file changed (see `Stamp`) is decoded anew, and gets a
  new row if its pixels are others.
- `<key>.ledger`: one JSON line per image with the digest of its pixels, appended after they have reached the disk. A
  killed process loses the chunks that it was decoding, no others.

Writers hold a lock; readers need none. Deleting the cache folder is always safe.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from datasets.console import progress
from datasets.core.locks import locked
from datasets.core.partial import whole_file
from datasets.core.places import writing
from datasets.core.workers import chunk_by_chunk
from datasets.errors import UserError
from datasets.pixels.cache import REMEDY, cache_folder, open_cache
from datasets.pixels.decode import PREPROCESSING, decoded
from datasets.pixels.digest import digest_of
from datasets.pixels.disk import Need, need_for
from datasets.pixels.ledger import SKIPPED, Entry, Ledger, Stamp, stamp_of
from datasets.types import Index, Pixels

Files = Mapping[str, str]  # where an image lies, by the name that it is stored under
Unreadable = Literal["refuse", "skip"]  # what becomes of images that cannot be read, at the user's wish


class Task(NamedTuple):
    """An image to decode, and where to put it; `before`: what is stored of its file as it was."""

    name: str
    path: str
    row: int
    stamp: Stamp
    before: Entry | None = None


@dataclass(frozen=True)
class Report:
    """What became of the images that were asked for.

    Attributes:
        images: how many were asked for.
        decoded: how many of them were not in the store before.
        flagged: names of images by what was odd about their files, see datasets/pixels/decode.py.
        skipped: unreadable images that were left out, with the reason.
    """

    images: int
    decoded: int
    flagged: Mapping[str, Sequence[str]]
    skipped: Mapping[str, str]


class PixelStore:
    """The decoded images of one data root at one size."""

    def __init__(self, root: Path, side: int) -> None:
        self.side = side
        self.folder = cache_folder()
        digest = hashlib.sha256(f"{PREPROCESSING}\n".encode() + os.fsencode(root.resolve())).hexdigest()
        self._key = f"images-{side}px-{digest[:16]}"
        self._ledger = Ledger(self._file("ledger"))

    def need(self, files: Files) -> Need:
        """The disk space that decoding these images would take now."""
        return need_for(len(self._tasks(files)), self._row_bytes, self.folder)

    def skipped(self, files: Files) -> dict[str, str]:
        """Those of the images that the user chose to do without and that have not changed since, with the reason."""
        known = {name: entry for name, entry in self._entries().items() if entry.row == SKIPPED and name in files}
        return {name: entry.reason for name, entry in known.items() if entry.stamp.fits(stamp_of(files[name]))}

    def changed(self, files: Files) -> list[str]:
        """Those of the images whose files are others than those that were decoded, sorted."""
        return [task.name for task in self._tasks(files) if task.before is not None]

    def ensure(self, files: Files, unreadable: Unreadable | Literal["leave"] = "refuse") -> Report:
        """Decode those of the images that are not in the store.

        Args:
            files: the images that are wanted.
            unreadable: "refuse" stores all others, then stops; "skip" remembers them as left out; "leave" goes on
                without them and remembers nothing. The report calls both skipped.

        Raises:
            UserError: the cache cannot be used, the disk is too small, or an image is unreadable and that is refused.
        """
        tasks, failed = self._tasks(files), dict[str, str]()
        if tasks:
            open_cache()
            with locked(self._file("lock"), "decodes images of the same data", REMEDY):
                tasks = self._tasks(files)  # another process may have decoded some meanwhile
                need_for(len(tasks), self._row_bytes, self.folder).check()
                failed = self._decode(tasks, unreadable)
                if failed and unreadable == "refuse":
                    self._refuse(failed, len(files))
        self.digest_rows(files)
        return self._report(files, len(tasks) - len(failed), failed)

    def digest_rows(self, files: Files) -> None:
        """Digest the rows that an earlier release decoded, which kept none; changed files are passed over."""
        if not self._without_digest(files):
            return
        open_cache()
        with locked(self._file("lock"), "decodes images of the same data", REMEDY):
            pool, stamped = self.pool(), dict[str, Entry]()
            for name, entry in self._without_digest(files).items():
                if entry.stamp.fits(stamp := stamp_of(files[name])):
                    stamped[name] = entry._replace(digest=digest_of(pool[entry.row].tobytes()), stamp=stamp)
            self._ledger.append(stamped)

    def stored(self, names: Iterable[str]) -> dict[str, Entry]:
        """Rows and digests of those of the images that are in the store."""
        entries = self._entries()
        return {name: entries[name] for name in names if name in entries}

    def pool(self) -> Pixels:
        """All pixels that are stored now (N, S, S, 3), read-only."""
        shape = (self._rows_on_disk(), self.side, self.side, 3)
        if not shape[0]:
            return np.zeros(shape, np.uint8)
        return np.memmap(self._file("pixels"), np.uint8, mode="r", shape=shape)

    def view(self, names: Sequence[str]) -> tuple[Pixels, Index]:
        """All pixels (N, S, S, 3) and the rows of the named images, which must have been ensured."""
        entries = self._entries()
        rows = np.array([entries[name].row for name in names], dtype=np.int64)
        if len(rows) and rows.min() == SKIPPED:
            raise RuntimeError("a view of an image that was skipped")
        return self.pool(), rows

    @property
    def ledger(self) -> Path:
        """The file to delete so that everything is decoded again."""
        return self._file("ledger")

    @property
    def _row_bytes(self) -> int:
        return self.side * self.side * 3

    def _file(self, suffix: str) -> Path:
        return self.folder / f"{self._key}.{suffix}"

    def _rows_on_disk(self) -> int:
        path = self._file("pixels")
        return path.stat().st_size // self._row_bytes if path.is_file() else 0

    def _entries(self) -> dict[str, Entry]:
        """What is stored; entries whose pixels somebody deleted do not count."""
        entries = self._ledger.read()
        rows = self._rows_on_disk()
        return {name: entry for name, entry in entries.items() if entry.row < rows}

    def _tasks(self, files: Files) -> list[Task]:
        """The images that are missing or have changed, with rows behind all that are taken."""
        entries, tasks = self._entries(), list[Task]()
        free = max((entry.row for entry in entries.values()), default=-1) + 1
        for name in sorted(files):  # neighbours on disk are read one after the other
            entry, stamp = entries.get(name), stamp_of(files[name])
            if entry is None or not entry.stamp.fits(stamp):
                tasks.append(Task(name, files[name], free + len(tasks), stamp, entry))
        return tasks

    def _without_digest(self, files: Files) -> dict[str, Entry]:
        found = self.stored(files).items()
        return {name: entry for name, entry in found if entry.row != SKIPPED and not entry.digest}

    def _report(self, files: Files, decoded: int, failed: Mapping[str, str]) -> Report:
        flagged, skipped = dict[str, list[str]](), dict(failed)
        for name, entry in self._entries().items():
            if name in files and name not in failed:  # what is stored of a failed one is of its file as it was
                for flag in entry.flags:
                    flagged.setdefault(flag, []).append(name)
                if entry.row == SKIPPED:
                    skipped[name] = entry.reason
        return Report(len(files), decoded, flagged, skipped)

    def _decode(self, tasks: list[Task], unreadable: str) -> dict[str, str]:
        """Decode into the file of pixels, all cores at work; the reasons of those that could not be."""
        failed: dict[str, str] = {}

        def finished() -> Iterator[str]:
            work = partial(_decode_chunk, self._file("pixels"), self.side)
            for done in chunk_by_chunk(work, tasks, in_order=False):
                bad = {name: entry.reason for name, entry in done.items() if entry.row == SKIPPED}
                failed.update(bad)
                kept = done.items() if unreadable == "skip" else [item for item in done.items() if item[0] not in bad]
                self._ledger.append(dict(kept))
                yield from done

        with writing(self._file("pixels"), REMEDY):
            self._file("pixels").touch()
            self._ledger.mend()
            for _ in progress(finished(), len(tasks), f"decoding {len(tasks):,} images to {self.side} px"):
                pass
        return failed

    def _refuse(self, failed: Mapping[str, str], asked: int) -> None:
        listed = self._file("unreadable.txt")
        lines = (f"{name}\t{reason}\n" for name, reason in sorted(failed.items()))
        with whole_file(listed, REMEDY) as unfinished:
            unfinished.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
        name, reason = min(failed.items())
        raise UserError(
            f"{len(failed):,} of {asked:,} images cannot be read, such as {name}: {reason}; all are listed in {listed}"
            "; repair them, or do without: python -m datasets prepare --unreadable skip"
        )


def _decode_chunk(pixels: Path, side: int, tasks: Sequence[Task]) -> dict[str, Entry]:
    """Decode some images into their rows. Plain writing, for a full disk under a memory map kills the process."""
    done: dict[str, Entry] = {}
    with pixels.open("r+b") as file:
        for task, image in zip(tasks, decoded((Path(task.path) for task in tasks), side), strict=True):
            if isinstance(image, str):
                done[task.name] = Entry(SKIPPED, task.stamp, (), image)
                continue
            content = image.pixels.tobytes()
            digest, row = digest_of(content), task.row
            if task.before is not None and task.before.digest == digest:
                row = task.before.row  # the file was touched, its pixels were not
            else:
                file.seek(row * len(content))
                file.write(content)
            done[task.name] = Entry(row, task.stamp, image.flags, "", digest)
        file.flush()
        os.fsync(file.fileno())
    return done
