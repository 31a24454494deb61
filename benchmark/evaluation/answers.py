"""What a cell yields, whatever kind of method it belongs to: stored arrays that every figure follows from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from benchmark.cells.record import DataFacts
from benchmark.evaluation.figures import DiscoveryEvaluation, Evaluation
from benchmark.evaluation.parts import PARTS


class Answers(ABC):
    """What a method said about the images of a split.

    Attributes:
        FILE: name of the file that holds it in the cell's folder.
    """

    FILE: ClassVar[str]

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write FILE, whole or not at all."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            UserError: the file is damaged, or holds what `save` never writes.
        """

    @abstractmethod
    def misfit(self, data: DataFacts) -> str | None:
        """What cannot be true of these data, as where a file was exchanged; None if all fits."""

    @abstractmethod
    def evaluate(self, data: DataFacts, official: bool = False) -> Evaluation | DiscoveryEvaluation:
        """All figures that follow from it.

        Args:
            data: what the record of the cell says of the data.
            official: also give the curve metrics as the official code computes them.
        """


@dataclass(frozen=True)
class PredictionArrays:
    """Predictions on validation, known test and unknown test images, in this order of parts.

    Attributes:
        part: (N,) position in PARTS.
        ids, source: (N,) names of the images and of their finer origin ("" if not known).
        label: (N,) class within its part: known classes for val and known, a group's own classes else.
        predicted: (N,) known class.
        confidence: (N,) the method's default; `variants` holds others by name.
    """

    part: NDArray[np.int8]
    ids: NDArray[np.str_]
    source: NDArray[np.str_]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    variants: Mapping[str, NDArray[np.float64]]

    def of(self, part: str) -> NDArray[np.bool_]:
        """(N,) mask of a part."""
        return self.part == PARTS.index(part)
