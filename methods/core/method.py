"""The contract of a method: fit once on known classes, then judge any images."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from typing_extensions import Self

from datasets.core.partial import write_whole
from datasets.core.strict_json import read_json
from datasets.errors import UserError
from datasets.types import ImageSet
from methods.core.run import Run
from methods.core.settings import Settings
from methods.core.state import Tree, load_tree, save_tree

Kind = Literal["attribution", "osr", "discovery"]
Floats = NDArray[np.float64]

MODEL, FACTS = "model.safetensors", "method.json"  # files of a fitted method


class NotFitted(Exception):
    """A method is asked to judge images before it has what it judges them with."""


@dataclass(frozen=True)
class Prediction:
    """What a method says about N images.

    Attributes:
        scores: (N, K) float64, higher = more this class; the argmax is the predicted class.
        confidence: (N,) float64, higher = more likely of a known class; the method's declared default.
        features: (N, D) float32, for clustering and pictures.
        variants: other confidences of the paper, (N,) each; shown apart, never chosen on test data.
    """

    scores: Floats
    confidence: Floats
    features: NDArray[np.float32]
    variants: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Discovery:
    """What a discovery method says about a pool of N images.

    Attributes:
        groups: (N,) int64; 0..K-1 are known classes, K and above discovered groups; never -1.
        discovered: (N,) bool; whether the image was placed before left-overs went to the nearest group.
        log: one row per iteration, for the report.
    """

    groups: NDArray[np.int64]
    discovered: NDArray[np.bool_]
    log: Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class Task:
    """What a fitted method has to remember of its training set."""

    classes: tuple[str, ...]
    image_size: int

    @classmethod
    def of(cls, images: ImageSet) -> Task:
        return cls(images.classes, images.image_size)

    @property
    def num_classes(self) -> int:
        return len(self.classes)


class Stored(BaseModel):
    """What lies beside the weights of a fitted method."""

    method: str
    version: int
    config: dict[str, Any]
    task: Task


class Plugin(ABC):
    """What the harness reads off every plugin class.

    Attributes:
        name: given by `@register`.
        kind: the family of methods it belongs to.
        title: as in tables.
        paper: citation with its address.
        version: raise it when results may change; it is part of every cell's hash.
        requires: methods whose fitted state of the same split and seed is needed.
        tables: leaderboard tables that show it; empty: the table of its kind.
        Config: its settings; the defaults are the published values.
        PRESETS: what a preset changes in the settings.
        VARIANTS: named changes of the settings, used as `name@variant`.
        STANDING: variants that stand beside the plain row in every comparison of all methods.
        SEARCH: settings of a light preset that validation may choose, each with its candidates.
        ABLATIONS: named studies, each a tuple of `name` or `name@variant` in the order of its table.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    title: ClassVar[str]
    paper: ClassVar[str]
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ()
    tables: ClassVar[tuple[str, ...]] = ()
    Config: ClassVar[type[Settings]] = Settings
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    STANDING: ClassVar[tuple[str, ...]] = ()
    SEARCH: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    ABLATIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, config: Any, run: Run) -> None:
        self.config, self.run = config, run

    @classmethod
    def needs(cls, config: Any) -> tuple[str, ...]:
        """The required methods under these settings."""
        return cls.requires


class Method(Plugin):
    """A method that scores single images.

    A subclass gives `fit`, `predict`, `state` and `restore`. `fit` sees the training and the
    validation set and nothing else. Whoever watches a training asks for predictions on the way, so that
    `predict` says by `require` what it cannot do without.
    """

    task: Task

    @abstractmethod
    def fit(self, train: ImageSet, val: ImageSet) -> None:
        """Learn the known classes. Validation images may choose a checkpoint, never train weights."""

    @abstractmethod
    def predict(self, images: ImageSet) -> Prediction:
        """Judge images one by one: no image's result depends on which others are asked for.

        Raises:
            NotFitted: what it judges with is not there yet.
        """

    @abstractmethod
    def state(self) -> Tree:
        """All that `predict` needs, as a nested structure of tensors, arrays and plain values."""

    @abstractmethod
    def restore(self, state: Tree) -> None:
        """Take back what `state` gave; `self.task` is set."""

    def require(self, *parts: str) -> None:
        """Name the attributes that `predict` cannot do without, and that fitting gives.

        Raises:
            NotFitted: one of them is not there yet.
        """
        for part in parts:
            if not hasattr(self, part):
                raise NotFitted(f"{type(self).__name__} has no {part} yet; fit it first")

    def views(self, images: ImageSet) -> Mapping[str, Iterator[torch.Tensor]]:
        """Named transformed versions of images for pictures; batches (B, 3, H, W) in [-1, 1]."""
        return {}

    def trainable(self) -> int:
        """Number of weights that inference uses, for the cost column."""
        return 0

    def save(self, folder: Path) -> None:
        """Write the fitted state: safetensors and JSON, never pickle."""
        save_tree(folder / MODEL, self.state())
        config = self.config.model_dump(mode="json")
        facts = {"method": self.name, "version": self.version, "config": config, "task": asdict(self.task)}
        write_whole(folder / FACTS, json.dumps(facts, indent=1))

    @classmethod
    def load(cls, folder: Path, run: Run) -> Self:
        """Rebuild what `save` wrote.

        Raises:
            UserError: files are missing or damaged, or of another method or another version of it.
        """
        try:
            stored = Stored.model_validate(read_json(folder / FACTS))
            if (stored.method, stored.version) != (cls.name, cls.version):
                held = f"{stored.method} version {stored.version}"
                raise UserError(f"{folder} holds {held}, not {cls.name} version {cls.version}; make it again")
            config, state = cls.Config(**stored.config), load_tree(folder / MODEL)
        except (OSError, TypeError, ValueError, SafetensorError) as error:
            raise UserError(f"the model in {folder} cannot be loaded ({_reason(error)}); make it again") from None
        method = cls(config, run)
        method.task = stored.task
        method.restore(state)
        return method


def _reason(error: Exception) -> str:
    """The first line of what is wrong."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]


class DiscoveryMethod(Plugin):
    """A method that groups a whole pool of images and has no inductive score."""

    kind = "discovery"

    @abstractmethod
    def discover(self, labelled: ImageSet, val: ImageSet, pool: ImageSet) -> Discovery:
        """Group a pool that mixes known and unknown classes; the pool carries no labels."""
