"""The log of a training: mean loss terms and noted figures per epoch, and a guard against divergence."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

Row = dict[str, float | int | str]

CHECK_EVERY = 50  # batches between two looks for non-finite terms; each look waits for the device


class Diverged(Exception):
    """A loss term is not finite; the message names the term, the epoch and the batch."""


class History:
    """One row per epoch: stage, epoch, seconds, steps, the mean of every loss term, noted figures."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._terms: dict[str, list[Tensor]] = {}
        self._batches: dict[str, list[int]] = {}  # where each value stems from: not every batch has every term
        self._steps = 0
        self._row: Row = {}
        self._started = 0.0

    def open(self, stage: str, epoch: int) -> None:
        self._row, self._started = {"stage": stage, "epoch": epoch}, time.perf_counter()
        self._terms, self._batches, self._steps = {}, {}, 0

    def add(self, terms: Mapping[str, Tensor]) -> None:
        for name, value in terms.items():
            self._terms.setdefault(name, []).append(value.detach().float())
            self._batches.setdefault(name, []).append(self._steps)
        self._steps += 1
        if self._steps % CHECK_EVERY == 0:
            self._check()

    def note(self, stage: str, values: Mapping[str, float]) -> None:
        """Add figures to the row of the running epoch; where none runs they make one of their own, of no steps."""
        if self._row:
            self._row.update(values)
        else:
            self.open(stage, 0)
            self._row.update(values)
            self.close()

    def close(self) -> None:
        self._check()
        means = {name: float(torch.stack(values).mean()) for name, values in self._terms.items()}
        seconds = round(time.perf_counter() - self._started, 3)
        self.rows.append({**self._row, "seconds": seconds, "steps": self._steps, **means})
        self._row = {}

    def _check(self) -> None:
        for name, values in self._terms.items():
            finite = torch.isfinite(torch.stack(values))
            if not bool(finite.all()):
                batch = self._batches[name][int((~finite).nonzero()[0])]
                raise Diverged(f"loss term '{name}' is not finite in epoch {self._row['epoch']}, batch {batch}")
