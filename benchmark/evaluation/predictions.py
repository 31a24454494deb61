"""What a method said about every image of a split, as arrays that are stored and evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.arrays import check_finite, check_range, columns
from benchmark.cells.files import write_arrays
from benchmark.cells.record import DataFacts
from benchmark.evaluation.answers import Answers, PredictionArrays
from benchmark.evaluation.evaluator import evaluate
from benchmark.evaluation.figures import Evaluation
from benchmark.evaluation.parts import MOST_CLASSES, PARTS, misfit, part_numbers, parts_of
from datasets.types import ImageSet, Split
from methods.core.method import Method, Prediction
from methods.core.validity import checked

_VARIANT = "variant:"  # how the names of arrays of other confidences begin


@dataclass(frozen=True)
class Predictions(PredictionArrays, Answers):
    """The answers of a method that names sources: its arrays, kept in a file and evaluated."""

    FILE: ClassVar[str] = "predictions.npz"

    def save(self, folder: Path) -> None:
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in _COLUMNS}
        write_arrays(folder / self.FILE, arrays | {f"{_VARIANT}{key}": value for key, value in self.variants.items()})

    @classmethod
    def load(cls, folder: Path) -> Predictions:
        path = folder / cls.FILE
        arrays = columns(path, _COLUMNS, free=_VARIANT)
        check_finite(path, arrays)
        check_range(path, arrays, 0, len(PARTS) - 1, "part")
        check_range(path, arrays, 0, MOST_CLASSES, "label", "predicted")
        variants = {key.removeprefix(_VARIANT): arrays[key] for key in arrays if key.startswith(_VARIANT)}
        return cls(**{name: arrays[name] for name in _COLUMNS}, variants=variants)

    def misfit(self, data: DataFacts) -> str | None:
        beyond = int(self.predicted.max(initial=0)) >= len(data.known)
        predicted = f"it predicts class {self.predicted.max(initial=0)}, the record names {len(data.known)} classes"
        return misfit(self.part, self.label, data) or (predicted if beyond else None)

    def evaluate(self, data: DataFacts, official: bool = False) -> Evaluation:
        return evaluate(self, data, official)


_COLUMNS = {"part": "i", "ids": "U", "source": "U", "label": "i", "predicted": "i", "confidence": "f"}


def predict_split(method: Method, split: Split) -> tuple[Predictions, Prediction]:
    """Ask a fitted method about all parts; also the joined raw prediction.

    Raises:
        ValueError: the prediction is not as the contract says.
    """
    parts = list(parts_of(split))
    answers = [checked(method.predict(images), len(images), len(split.train.classes)) for _, images in parts]
    joined = Prediction(
        np.concatenate([answer.scores for answer in answers]),
        np.concatenate([answer.confidence for answer in answers]),
        np.concatenate([answer.features for answer in answers]),
        {key: np.concatenate([answer.variants[key] for answer in answers]) for key in answers[0].variants},
    )
    predictions = Predictions(
        part=part_numbers([name for name, _ in parts], [len(images) for _, images in parts]),
        ids=np.concatenate([images.ids for _, images in parts]),
        source=np.concatenate([_sources(images) for _, images in parts]),
        label=np.concatenate([images.labels for _, images in parts]),
        predicted=joined.scores.argmax(axis=1),
        confidence=joined.confidence,
        variants=joined.variants,
    )
    return predictions, joined


def _sources(images: ImageSet) -> NDArray[np.str_]:
    return np.full(len(images), "", dtype=np.str_) if images.sources is None else images.sources
