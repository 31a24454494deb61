"""Methods that train nothing: they re-read the outputs of a fitted network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datasets.types import ImageSet
from methods.core.method import Floats, Method, Prediction, Task
from methods.core.network_method import NetworkMethod


class PostHocMethod(Method):
    """Fit on a required network's logits and features of the training set, then rescore its outputs."""

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        self.task = Task.of(train)
        logits, features = self.base.infer(train)
        self.fit_outputs(logits, features, train.labels)

    def predict(self, images: ImageSet) -> Prediction:
        self.require("task")
        logits, features = self.base.infer(images)
        scores, confidence, variants = self.score(logits, features)
        return Prediction(scores, confidence, features, variants)

    @cached_property
    def base(self) -> NetworkMethod:
        """The fitted network that this method builds on, fetched once."""
        return self.run.fitted(self.needs(self.config)[0], NetworkMethod)  # type: ignore[type-abstract]

    def trainable(self) -> int:
        return self.base.trainable()

    @abstractmethod
    def fit_outputs(self, logits: Floats, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        """Learn from logits (N, K), features (N, D) and labels (N,) of the training images."""

    @abstractmethod
    def score(self, logits: Floats, features: NDArray[np.float32]) -> tuple[Floats, Floats, Mapping[str, Floats]]:
        """Class scores (N, K), confidence (N,) and other confidences, row by row."""
