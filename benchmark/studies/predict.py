"""Attribute images of a user's own by a fitted cell."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from threadpoolctl import threadpool_limits

from benchmark.cells.checkpoints import RELEASED
from benchmark.cells.path import CellPath
from benchmark.cells.presets import CHANGED, CUSTOM
from benchmark.cells.record import Record, read_record
from benchmark.cells.store import Store
from benchmark.evaluation.cell import evaluation_of
from benchmark.evaluation.figures import Evaluation
from benchmark.running.fitting import MODEL, make_run
from datasets.core.partial import whole_file
from datasets.errors import UserError
from datasets.files.walk import Walk, passed_text
from datasets.osma.dataset import Osma
from datasets.pixels.decode import FORMATS, Decoded
from datasets.pixels.stream import decoded_blocks
from datasets.types import UNLABELLED, ImageSet, Pixels
from methods.core.device import make_deterministic
from methods.core.key import parse_key
from methods.core.method import Method
from methods.core.registry import Registry
from methods.core.validity import checked

COLUMNS = ("path", "class", "confidence", "known", "reason")
BLOCKS = 4  # inference batches that are decoded together; what memory holds at a time
FEW = 32  # fewer images are computed by other kernels, whose rounding differs in the last digits

Row = tuple[str, str, float | None, bool | None, str]


@dataclass(frozen=True)
class Attributor:
    """A fitted method with the threshold of its cell.

    Attributes:
        method: as the cell stored it.
        threshold: images of at least this confidence count as known; None if the cell had no validation images.
        threads: that the cell was computed with, since their number changes rounding.
        batch: images of a forward pass.
    """

    method: Method
    threshold: float | None
    threads: int
    batch: int

    def rows(self, paths: Sequence[Path], root: Path) -> Iterator[Row]:
        """One row for every image, in the given order; unreadable ones carry the reason.

        Args:
            paths: image files.
            root: rows name files relative to it.
        """
        make_deterministic(self.threads)
        size = self.batch * BLOCKS
        blocks = decoded_blocks(paths, self.method.task.image_size, size)
        with threadpool_limits(self.threads):
            for start, images in zip(range(0, len(paths), size), blocks, strict=True):
                yield from self._judged(paths[start : start + size], images, root)

    def _judged(self, paths: Sequence[Path], images: Sequence[Decoded | str], root: Path) -> Iterator[Row]:
        readable = [image.pixels for image in images if isinstance(image, Decoded)]
        answers = iter(self._answers(np.stack(readable)) if readable else ())
        for path, image in zip(paths, images, strict=True):
            name = path.relative_to(root).as_posix()
            yield (name, "", None, None, image) if isinstance(image, str) else (name, *next(answers), "")

    def _answers(self, pixels: Pixels) -> Iterator[tuple[str, float, bool | None]]:
        """Class, confidence and whether it counts as known."""
        classes = self.method.task.classes
        padded = self._padded(pixels)
        count = len(padded)
        ids = np.array([f"image-{position}" for position in range(count)])
        images = ImageSet(padded, np.arange(count), np.full(count, UNLABELLED), (), ids)
        prediction = checked(self.method.predict(images), len(images), len(classes))
        scores, confidences = prediction.scores[: len(pixels)], prediction.confidence[: len(pixels)]
        for label, confidence in zip(scores.argmax(axis=1), confidences, strict=True):
            known = None if self.threshold is None else bool(confidence >= self.threshold)
            yield classes[label], float(confidence), known

    def _padded(self, pixels: Pixels) -> Pixels:
        """The images with copies of the last one behind them, so that no forward pass has only a few."""
        rest = len(pixels) % self.batch
        missing = max(0, min(FEW, self.batch) - rest) if rest else 0
        return np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)])


def load_attributor(name: CellPath, results: Path, device: str, registry: Registry, asked: str) -> Attributor:
    """The fitted method of a finished cell.

    Args:
        name: of the cell.
        results: folder of the cells.
        device: name of the device to run on.
        registry: where the method is found.
        asked: the data set as the user wrote it, for the command in the message.

    Raises:
        UserError: there is no such cell, it is not finished, its model is damaged, or its method judges no single
            images.
    """
    plugin = registry[parse_key(name.key)[0]]
    if not issubclass(plugin, Method):
        raise UserError(f"method '{name.key}' groups whole pools of images and names none; choose another method")
    folder = results / name.in_results
    record = read_record(folder)
    command = _command(name, asked)
    if record is None or record.status != "done" or not (folder / MODEL).is_dir():
        raise UserError(f"{_state(record, folder)}; make it: {command}")
    run = make_run(record.cell, Store(results), registry, device)
    try:
        method = plugin.load(folder / MODEL, run)
    except UserError as error:  # of damaged files or another network; whatever else a plugin raises is its bug
        raise UserError(f"{error}: {command} --force") from None
    figures = evaluation_of(folder, record)
    decisions = figures.decisions if isinstance(figures, Evaluation) else None
    threshold = None if decisions is None else decisions.threshold
    return Attributor(method, threshold, record.cell.run["threads"], run.settings.inference_batch)


def _command(name: CellPath, asked: str) -> str:
    """What makes the cell; capitals stand for what only the user knows."""
    preset, changed, label = name.preset.partition(CHANGED)
    words = ["python run_all.py --methods", _as_asked(name.key), "--dataset", asked, "--preset", preset]
    words += ["--data-root DIR"] if asked == Osma.name else []
    words += ["--set OWNER.KEY=VALUE"] if changed else []
    words += [f"--variant {label}"] if changed and not label.startswith(CUSTOM) else []
    return " ".join([*words, "--splits", name.split, "--seeds", str(name.seed)])


def _as_asked(key: str) -> str:
    """A row's method as run_all.py is asked for it, with what makes a row of released weights."""
    base = key.removesuffix(f"@{RELEASED}").removesuffix(f"-{RELEASED}")
    return key if base == key else f"{base} --checkpoint {base}=DIR"


def _state(record: Record | None, folder: Path) -> str:
    if record is None:
        return f"there is no cell {folder}"
    if record.status != "done":
        return f"the cell {folder} is {record.status} ({record.reason})"
    return f"the cell {folder} has lost its model"


def find_images(place: Path) -> tuple[list[Path], Mapping[str, int]]:
    """Image files in a folder and all folders below it, sorted, and numbers of others by the reason.

    Links to folders are not followed.

    Raises:
        UserError: there is no such folder, it holds no images, or a folder cannot be read.
    """
    if place.is_file():
        return [place], {}
    if not place.is_dir():
        raise UserError(f"--images {place}: there is no such file or folder")
    try:
        found = Walk(place, confined=False).images()
    except OSError as error:
        raise UserError(f"--images {place}: {error.filename} cannot be read ({error.strerror})") from None
    if not found.names:
        others = f"; passed over {passed_text(found.passed)}" if found.passed else ""
        raise UserError(f"--images {place} holds no images ({', '.join(FORMATS)} are read{others})")
    return sorted(place / name for name in found.names), found.passed


@contextmanager
def _answers_file(path: Path) -> Iterator[TextIO]:
    """A file to write rows into, which takes the place of `path` when the block ends well.

    Raises:
        UserError: the place cannot be written.
    """
    if path.is_dir():
        raise UserError(f"--out {path} is a folder; give the name of a file")
    with (
        whole_file(path, "choose another --out") as unfinished,
        unfinished.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        yield file


def write_rows(path: Path, rows: Iterable[Row]) -> Iterator[Row]:
    """Write a CSV file, whole or not at all, and pass its rows on. Confidences have every digit."""
    with _answers_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            name, label, confidence, known, reason = row
            number = "" if confidence is None else repr(confidence)
            writer.writerow([name, label, number, "" if known is None else str(known).lower(), reason])
            yield row
