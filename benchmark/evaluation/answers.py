"""What a cell yields, whatever kind of method it belongs to: stored arrays that every figure follows from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from typing_extensions import Self

from benchmark.cells.record import DataFacts
from benchmark.evaluation.figures import DiscoveryEvaluation, Evaluation


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
