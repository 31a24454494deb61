"""How well a small decision tree names classes from containers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.checks.container import Container
from datasets.files.listing import Listing

Floats = NDArray[np.float64]
Labels = NDArray[np.int64] | NDArray[np.bool_]
Facts = tuple[str | float, ...]

PIXEL_GRID = "JPEG grid of the pixels"
FEATURES: Mapping[str, Callable[[Container], Facts]] = {
    "extension": lambda file: (file.extension,),
    "format": lambda file: (file.format, file.mode),
    "JPEG tables": lambda file: (*file.jpeg, *(-1,) * (4 - len(file.jpeg))),
    "image size": lambda file: (file.width, file.height),
    "all of these": lambda file: (file.extension, file.format, file.mode, str(file.jpeg), file.width, file.height),
    PIXEL_GRID: lambda file: (file.grid,),
}
# A generator may leave a grid of its own, which is a trace that a method may use.
NOT_A_CONFOUND = (PIXEL_GRID,)

LEAVES = 64
SMALLEST_LEAF = 3
MARGIN = 0.05  # above chance that is worth a word
DEVIATIONS = 3  # of chance, above which it is not luck


class Score(NamedTuple):
    """What a tree got right on the test images, all classes counting alike.

    Attributes:
        accuracy: mean recall of the known classes.
        chance: the same of guessing, and `luck` its standard deviation.
        real_or_not: mean recall of real and generated, by a tree of its own; guessing gives 0.5.
        luck_real_or_not: standard deviation of that guess.
        images: test images.
    """

    accuracy: float
    chance: float
    luck: float
    real_or_not: float
    luck_real_or_not: float
    images: int

    @property
    def beats_chance(self) -> bool:
        """Whether it is worth a word, and more than luck."""
        return self.accuracy - self.chance > max(MARGIN, DEVIATIONS * self.luck) or (
            self.real_or_not - 0.5 > max(MARGIN, DEVIATIONS * self.luck_real_or_not)
        )


def tree_score(train: Listing, test: Listing, containers: Mapping[str, Container], feature: str) -> Score:
    """Fit on the containers of training images, score on those of test images.

    Args:
        feature: a key of FEATURES.
    """
    facts = [[FEATURES[feature](containers[name]) for name in listing.names] for listing in (train, test)]
    inputs = _numbers(facts[0], facts[0]), _numbers(facts[1], facts[0])
    real = train.labels == 0, test.labels == 0
    sizes = np.unique(test.labels, return_counts=True)[1]
    return Score(
        accuracy=_recall(inputs, (train.labels, test.labels)),
        chance=1 / len(sizes),
        luck=_luck(sizes),
        real_or_not=_recall(inputs, real),
        luck_real_or_not=_luck(np.unique(real[1], return_counts=True)[1]),
        images=len(test.names),
    )


def _luck(sizes: NDArray[np.int64]) -> float:
    """Standard deviation of the mean recall of guessing among classes of these sizes."""
    chance = 1 / len(sizes)
    return math.sqrt(float(np.sum(chance * (1 - chance) / sizes))) / len(sizes)


def _numbers(facts: list[Facts], known: list[Facts]) -> Floats:
    """Texts become their rank among those of the training images, -1 for others."""
    columns = []
    for values, seen in zip(zip(*facts, strict=True), zip(*known, strict=True), strict=True):
        if any(isinstance(value, str) for value in seen):
            code = {text: rank for rank, text in enumerate(sorted(set(map(str, seen))))}
            columns.append([float(code.get(str(value), -1)) for value in values])
        else:
            columns.append([float(value) for value in values])
    return np.array(columns).T


def _recall(inputs: tuple[Floats, Floats], labels: tuple[Labels, Labels]) -> float:
    """Mean recall over the classes of the test images."""
    from sklearn.tree import DecisionTreeClassifier  # heavy, for an audit alone

    tree = DecisionTreeClassifier(
        max_leaf_nodes=LEAVES, min_samples_leaf=SMALLEST_LEAF, class_weight="balanced", random_state=0
    )
    tree.fit(inputs[0], labels[0])
    right = tree.predict(inputs[1]) == labels[1]
    return float(np.mean([right[labels[1] == label].mean() for label in np.unique(labels[1])]))
