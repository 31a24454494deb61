"""The figures of one cell, as types. `evaluation.json` is their serialised form; all are fractions.

Figures that metrics define are held by the name of the metric (`benchmark.metrics`), so that a new metric appears
here, in files and in frames by itself. A mapping without entries means that there were no images to compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pydantic import ConfigDict

from benchmark.evaluation.parts import ALL
from datasets.splits import UNKNOWN_GROUPS

SCHEMA = 2
GROUPS: tuple[str, ...] = (*UNKNOWN_GROUPS, ALL)  # what the known test images are compared with

_STRICT = ConfigDict(extra="forbid")
Figures: TypeAlias = Mapping[str, float]


@dataclass(frozen=True)
class ClosedSet:
    """Known test images alone.

    Attributes:
        figures: by metric.
        classes_present: known classes that have test images.
        confusion: (K, K) counts, true class by predicted class.
    """

    figures: Figures
    classes_present: int
    confusion: tuple[tuple[int, ...], ...]

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class RealImages:
    """Accuracy on known test images by whether training has seen the source of the real ones; None without images.

    Attributes:
        seen, unseen: on real images.
        without_unseen: on all known test images but those real ones whose source is unseen.
        by_source: on real images of every named source.
    """

    seen: float | None = None
    unseen: float | None = None
    without_unseen: float | None = None
    by_source: Figures = field(default_factory=dict)

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class Curve:
    """Known test images against one group of unknown ones: everything that confidence alone decides."""

    images: int
    figures: Figures = field(default_factory=dict)

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class Decisions:
    """Known or unknown at the threshold that accepts 95 % of the validation images.

    Attributes:
        threshold: on the scale of the method's confidence.
        known_accepted: share of known test images; None without any.
        unknown_rejected: share of unknown test images, by group that has images.
        k_plus_1_accuracy: on all test images, "unknown" being one more class; None without known ones.
    """

    threshold: float
    known_accepted: float | None
    unknown_rejected: Figures
    k_plus_1_accuracy: float | None

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class UnknownClass:
    """All known test images against one unknown class; None where either has no images.

    Attributes:
        group, name: of the class; `images` that it has.
        auc: area under the ROC curve.
        mean_confidence: of its images.
        taken_for: the known class that most of its images are named, and the share of these.
    """

    group: str
    name: str
    images: int
    auc: float | None = None
    mean_confidence: float | None = None
    taken_for: str | None = None
    taken_for_share: float | None = None

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class Clusters:
    """How well the clusters of a pool of test images agree with their true classes.

    Attributes:
        pool: a key of `POOLS`.
        images, classes, clusters: how many there are.
        figures: by metric.
    """

    pool: str
    images: int
    classes: int
    clusters: int
    figures: Figures

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class FoundClusters(Clusters):
    """Clusters of a discovery method.

    Attributes:
        of: all images of the pool, or those that were placed before left-overs went to the nearest cluster.
        coverage: share of the pool that these images are; None for an empty pool.
    """

    of: Literal["all", "discovered"] = "all"
    coverage: float | None = None


@dataclass(frozen=True)
class KMeansClusters(Clusters):
    """Clusters of stored features; `k` was asked for, `effective_k` came out."""

    normalisation: str
    k: int
    effective_k: int
    seed: int
    n_init: int
    inertia: float
    iterations: int
    seconds: float
    made_with: str


@dataclass(frozen=True)
class Epoch:
    """Test figures of the method as it stood after one epoch, watched and never used to choose anything.

    Attributes:
        stage, epoch: of the training; epochs count from 0.
        accuracy: on known test images.
        auc: against every group of unknown ones that has images, and against all.
    """

    stage: str
    epoch: int
    accuracy: float
    auc: Figures

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class Evaluation:
    """All figures of a method that scores single images.

    Attributes:
        metric_version: of the definitions that it follows.
        val_accuracy: None without validation images.
        closed_set: None without known test images.
        real: by source of the real images.
        unknown: curve against every group of unknown images, and against all; by the method's own confidence.
        variants: the same by the other confidences that it declares.
        decisions: None without validation images.
        unknown_classes: one entry for every unknown class.
        clusterings: of its features, as far as these have been clustered.
        epochs: its training watched, where that was asked for.
    """

    metric_version: int
    val_accuracy: float | None
    closed_set: ClosedSet | None
    real: RealImages
    unknown: Mapping[str, Curve]
    variants: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)
    decisions: Decisions | None = None
    unknown_classes: tuple[UnknownClass, ...] = ()
    clusterings: tuple[KMeansClusters, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    schema: int = SCHEMA

    __pydantic_config__ = _STRICT

    @property
    def official(self) -> bool:
        """Whether it also holds figures as the official code computes them."""
        return any(name.startswith("official") for name in self.unknown[ALL].figures)


@dataclass(frozen=True)
class DiscoveryEvaluation:
    """All figures of a method that groups a whole pool.

    There is no accuracy, AUC or OSCR: clusters that were learnt from the test images themselves give no score for a
    single image.

    Attributes:
        metric_version: of the definitions that it follows.
        transductive_accuracy: share of known test images that stand in the cluster of their class, which is no
            closed-set accuracy; None without known test images.
        known_clusters: known classes whose cluster has images.
        clusterings: of every pool, all its images and the discovered ones.
    """

    metric_version: int
    transductive_accuracy: float | None
    known_clusters: int
    clusterings: tuple[FoundClusters, ...]
    schema: int = SCHEMA

    __pydantic_config__ = _STRICT
