"""A method in its surroundings: fitted, asked about a split, and loaded again."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.cell import Cell
from benchmark.cells.checkpoints import take_released
from benchmark.cells.files import ITERATIONS, write_arrays, write_json
from benchmark.cells.record import Cost
from benchmark.cells.store import Store
from benchmark.evaluation.cluster_cells import FEATURES, statistics
from benchmark.evaluation.curve import CURVE, TrainingCurve
from benchmark.evaluation.discovery import Groups, discover_split
from benchmark.evaluation.predictions import Predictions, predict_split
from benchmark.running.job import Job
from benchmark.running.progress import reporter
from datasets.types import Split
from methods.core.device import choose, peak_memory, synchronise
from methods.core.method import DiscoveryMethod, Method, Plugin, Prediction
from methods.core.registry import Registry
from methods.core.run import Run
from methods.core.settings import RunSettings
from methods.core.validity import check_training

MODEL, SCORES = "model", "scores.npz"


def make_run(cell: Cell, store: Store, registry: Registry, device: str) -> Run:
    """The surroundings of a method in a cell; its progress is told through a small file."""
    settings, chosen = RunSettings(**cell.run), choose(device)

    def resolve(key: str) -> Method:
        plugin = cast("type[Method]", registry.choose(key).plugin)
        inner = Run(seed=cell.seed, device=chosen, settings=settings, resolve=resolve)
        return plugin.load(store.needed(cell, key) / MODEL, inner)

    return Run(
        seed=cell.seed, device=chosen, settings=settings, folder=store.scratch(cell) / "training", resolve=resolve,
        report=reporter(store, cell),
    )  # fmt: skip


@dataclass(frozen=True)
class Work(ABC):
    """What a cell keeps.

    Attributes:
        cost: of computing it.
        summary: for the log.
    """

    cost: Cost
    summary: str

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write all of it."""


@dataclass(frozen=True)
class MethodWork(Work):
    """What a cell of a method that scores single images keeps.

    Attributes:
        training: mean and deviation of the training set's features.
        curve: of the training, where it was watched.
    """

    method: Method
    predictions: Predictions
    raw: Prediction
    training: dict[str, NDArray[np.float64]]
    curve: TrainingCurve | None

    def save(self, folder: Path) -> None:
        self.method.save(folder / MODEL)
        self.predictions.save(folder)
        write_arrays(folder / SCORES, {"scores": self.raw.scores.astype(np.float32)})
        write_arrays(folder / FEATURES, {"features": self.raw.features.astype(np.float32), **self.training})
        if self.curve is not None:
            self.curve.save(folder / CURVE)


@dataclass(frozen=True)
class DiscoveryWork(Work):
    """What a cell of a discovery method keeps."""

    groups: Groups
    log: Sequence[Mapping[str, object]]  # one row for every iteration, as the method wrote it

    def save(self, folder: Path) -> None:
        self.groups.save(folder)
        write_json(folder / ITERATIONS, self.log)


def work_of(plugin: Plugin, job: Job, split: Split, scratch: Path) -> Work:
    """Train the method, or give it released weights, and ask it about the split.

    Raises:
        UserError: a class has no image to learn it from.
        ValueError: the method answers other than its contract says.
    """
    check_training(split.train)
    if isinstance(plugin, DiscoveryMethod):
        return discover(plugin, split)
    method = cast(Method, plugin)
    if job.released is None:
        return fit_and_predict(method, split, scratch / CURVE if job.curve else None)
    folder = job.released
    return fit_and_predict(method, split, released=lambda: take_released(method, folder, job.cell, split.train))


def fit_and_predict(
    method: Method, split: Split, curve_file: Path | None = None, released: Callable[[], None] | None = None
) -> MethodWork:
    """Fit on training and validation images, then ask about all parts of the split.

    Args:
        curve_file: where to keep the figures of every epoch while they come in; None: they are not computed.
        released: gives the method its released weights, instead of its own `fit`.
    """
    device = method.run.device
    curve = None if curve_file is None else TrainingCurve(method, split, curve_file)
    method.run.on_epoch = curve
    started = time.perf_counter()
    if released is None:
        method.fit(split.train, split.val)
    else:
        released()
    synchronise(device)
    fitted = time.perf_counter()
    predictions, raw = predict_split(method, split)
    synchronise(device)
    ended = time.perf_counter()
    watching = curve.seconds if curve is not None else 0
    cost = Cost(
        parameters=method.trainable(),
        train_seconds=round(fitted - started - watching, 2) if released is None else None,
        images_per_second=round(len(predictions.ids) / max(ended - fitted, 1e-9), 1),
        peak_memory=peak_memory(device),
    )
    training = statistics(method.predict(split.train).features)
    return MethodWork(cost, f"{ended - started:.1f} s", method, predictions, raw, training, curve)


def discover(method: DiscoveryMethod, split: Split) -> DiscoveryWork:
    """Have the pool of all test images clustered."""
    started = time.perf_counter()
    groups, found = discover_split(method, split)
    synchronise(method.run.device)
    seconds = time.perf_counter() - started
    cost = Cost(train_seconds=round(seconds, 2), peak_memory=peak_memory(method.run.device))
    summary = f"{len(np.unique(found.groups))} groups of {len(groups.ids)} images in {seconds:.1f} s"
    return DiscoveryWork(cost, summary, groups, found.log)
