"""What the harness gives a method: device, seeds, batches, epochs with progress and resume, a log."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from datasets.seeds import seed_of
from datasets.types import ImageSet, Pixels
from methods.core.batches import Batches, DevicePixels, Sampler, Transform, normalise
from methods.core.device import seed_everything
from methods.core.history import History
from methods.core.settings import RunSettings
from methods.core.state import load_tree, save_tree

M = TypeVar("M")


class Tracked(Protocol):
    """Whatever can hand out its state and take it back: networks, optimisers, schedules, counters."""

    def state_dict(self) -> Any: ...
    def load_state_dict(self, state: Any, /) -> Any: ...


@dataclass(frozen=True)
class Progress:
    """Where a cell stands."""

    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int


class Run:
    """The surroundings of one method in one cell.

    Args:
        seed: of the cell; all generators derive from it by name.
        device: where tensors live.
        settings: shared by all methods.
        folder: where unfinished work is saved; None keeps nothing.
        resolve: fetches a required method's fitted state by its name, such as "base" or "base@ce".
        report: is told where the cell stands, at most once a second and after every epoch.
        on_epoch: is called with (stage, epoch) after every epoch, with generators and module modes
            preserved, so that watching a training cannot change it.
    """

    def __init__(
        self,
        *,
        seed: int,
        device: torch.device,
        settings: RunSettings | None = None,
        folder: Path | None = None,
        resolve: Callable[[str], object] | None = None,
        report: Callable[[Progress], None] | None = None,
        on_epoch: Callable[[str, int], None] | None = None,
    ) -> None:
        self.seed, self.device, self.settings = seed, device, settings or RunSettings()
        self.history = History()
        self.on_epoch = on_epoch
        self._folder, self._resolve, self._report = folder, resolve, report
        self._stage, self._tracked = "fit", dict[str, Tracked]()
        self._position = Progress(self._stage, 0, 0, 0, 0)
        self._reported = self._saved = time.monotonic()

    # -- seeds ---------------------------------------------------------------------------------------

    def generator(self, *name: str | int) -> torch.Generator:
        """A fresh torch generator on the device; equal names give equal draws within a seed."""
        return torch.Generator(self.device).manual_seed(seed_of(self.seed, *name))

    def numpy_generator(self, *name: str | int) -> np.random.Generator:
        """A fresh NumPy generator; equal names give equal draws within a seed."""
        return np.random.default_rng(seed_of(self.seed, *name))

    @contextmanager
    def seeded(self, *name: str | int) -> Iterator[None]:
        """Seed the global generators for code that cannot be handed one (weight initialisation)."""
        with preserved_generators():
            seed_everything(seed_of(self.seed, *name))
            yield

    # -- images --------------------------------------------------------------------------------------

    def pixels(self, images: ImageSet) -> DevicePixels:
        """The pixels of a set on the device, resident when they fit."""
        return DevicePixels(images, self.device, self.settings.resident_megabytes * 2**20)

    def batches(
        self,
        images: ImageSet,
        sampler: Sampler = "balanced",
        *,
        size: int = 8,
        steps: int | None = None,
        passes: int = 1,
        views: int = 1,
        drop_last: bool = False,
        transform: Transform = normalise,
        name: str = "batches",
    ) -> Batches:
        """Training batches of a set; see `Batches` for the samplers. `steps` defaults to one pass."""
        return Batches(
            images, self.pixels(images), self.device, seed_of(self.seed, name), sampler=sampler, size=size, steps=steps,
            passes=passes, max_steps=self.settings.max_steps, views=views, drop_last=drop_last, transform=transform,
        )  # fmt: skip

    def sweep(self, images: ImageSet, size: int | None = None) -> Iterator[Tensor]:
        """All images once, in order, as bytes (B, 3, H, W) on the device."""
        size = size or self.settings.inference_batch
        for start in range(0, len(images), size):
            pixels: Pixels = images.batch(slice(start, start + size))
            yield torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).contiguous()

    # -- time ----------------------------------------------------------------------------------------

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Name a part of the training that has its own epochs and its own tracked state."""
        outer = self._stage, self._tracked
        self._stage, self._tracked = name, {}
        try:
            yield
        finally:
            self._stage, self._tracked = outer

    def track(self, **objects: Tracked) -> None:
        """Say what has to be saved and restored so that this stage can be resumed."""
        self._tracked.update(objects)

    def epochs(self, count: int, steps: int = 0) -> Iterator[int]:
        """Number the epochs that are still to be done.

        Before the first one the tracked state of an interrupted run is restored. Every epoch starts
        with freshly seeded global generators, so no generator has to be saved.

        Args:
            count: epochs of this stage.
            steps: batches per epoch, for the progress report.
        """
        if self.settings.max_steps is not None:
            count = min(count, 1)
        for epoch in range(self._restore(), count):
            seed_everything(seed_of(self.seed, self._stage, epoch))
            self._position = Progress(self._stage, epoch, count, 0, steps)
            self.history.open(self._stage, epoch)
            yield epoch
            self.history.close()
            self._watch(epoch)
            self._save(epoch, last=epoch + 1 == count)
            self._tell(Progress(self._stage, epoch + 1, count, 0, steps))

    def log(self, **terms: Tensor) -> None:
        """Note the loss terms of one batch (and count the step).

        Raises:
            Diverged: a term is NaN or infinite; the message names term, epoch and batch.
        """
        self.history.add(terms)
        position = self._position
        self._position = Progress(position.stage, position.epoch, position.epochs, position.step + 1, position.steps)
        if time.monotonic() - self._reported >= 1:
            self._tell(self._position)

    def record(self, **values: float) -> None:
        """Note figures of the current epoch, such as the accuracy on the validation set.

        Between epochs, and in a method that has none, they make a row of their own.
        """
        self.history.note(self._stage, values)

    # -- other methods -------------------------------------------------------------------------------

    def fitted(self, name: str, kind: type[M]) -> M:
        """A fresh copy of the fitted state of a required method of the same split and seed.

        Args:
            name: such as "base" or "base@ce".
            kind: what the caller needs it to be.

        Raises:
            LookupError: this run has no other methods.
            TypeError: the required method is something else.
        """
        if self._resolve is None:
            raise LookupError(f"this run cannot supply the required method '{name}'")
        method = self._resolve(name)
        if not isinstance(method, kind):
            raise TypeError(f"the required method '{name}' is a {type(method).__name__}, not a {kind.__name__}")
        return method

    # -- keeping -------------------------------------------------------------------------------------

    def _file(self) -> Path | None:
        return self._folder / f"{self._stage}.safetensors" if self._folder else None

    def _restore(self) -> int:
        path = self._file()
        if path is None or not path.is_file():
            return 0
        saved = load_tree(path)
        for name, tracked in self._tracked.items():
            tracked.load_state_dict(saved["tracked"][name])
        self.history.rows = saved["history"]
        return int(saved["epochs"])

    def _save(self, epoch: int, last: bool) -> None:
        path = self._file()
        due = time.monotonic() - self._saved >= self.settings.save_every_seconds
        if path is None or not (due or last):
            return
        state = {name: tracked.state_dict() for name, tracked in self._tracked.items()}
        save_tree(path, {"epochs": epoch + 1, "tracked": state, "history": self.history.rows})
        self._saved = time.monotonic()

    def _watch(self, epoch: int) -> None:
        if self.on_epoch is None:
            return
        with preserved_generators(), preserved_modes(self._tracked):
            self.on_epoch(self._stage, epoch)

    def _tell(self, progress: Progress) -> None:
        self._reported = time.monotonic()
        if self._report is not None:
            self._report(progress)


@contextmanager
def preserved_generators() -> Iterator[None]:
    """Put the global generators of torch, NumPy and Python back as they were."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


@contextmanager
def preserved_modes(tracked: Mapping[str, Any]) -> Iterator[None]:
    """Put every module of the tracked networks back into its training or evaluation mode."""
    networks = [value for value in tracked.values() if isinstance(value, nn.Module)]
    modes = [(module, module.training) for network in networks for module in network.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
