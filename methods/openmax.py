"""OpenMax: recalibrate a trained classifier's logits by how far they lie from their class's mean.

Paper: Bendale, Boult, "Towards Open Set Deep Networks", CVPR 2016, https://arxiv.org/abs/1511.06233.
Code read: abhijitbendale/OSDN (compute_openmax.py, evt_fitting.py, libMR), Jingkang50/OpenOOD
(openmax_postprocessor.py), kkirchheim/pytorch-ood (detector/openmax).

Nothing is trained. Every class keeps the mean logit vector of its correctly classified training images
and an extreme-value model of the largest distances to that mean. At test time the leading logits lose
the share that this model calls outlying; what they lose becomes the logit of "unknown".

Kept from the code, where it differs from Algorithm 2: the outlier probability is the distribution
function (printed: the survival function) and rank weights run from 1 to 1/alpha. Kept as well:
negative logits are scaled like positive ones, which feeds a negative share to "unknown";
`positive_only` switches that off.
Changed: the Weibull fit of LibMR, whose shift by 10000 makes it a Gumbel distribution for minima to
about 1e-5, is fitted as such; one crop, hence no averaging over crops; the Euclidean distance is the
same in fit and query (OSDN divides it by 200 in the query alone); softmax in float64 on shifted logits
(OSDN overflows). A class with fewer distances than the tail gives all of them, and one that offers too
little for a fit is handled as `fit_classes` says; the original stops there.
Version 2: the tail is what the setting says. In version 1 it was no more than a tenth of a class of fewer
than 200 images, at least 5, so that results of longer tails differ.
Checkpoint: Base's. Confidence: largest revised probability of a known class; variant
`one_minus_p0`: one minus the probability of "unknown".
Cost: no training step. Fitting is a forward pass over the training images, 0.3 of Base's training step per
image, and 2 ms for the means and roots of 15 classes; at test time 0.3 % more than Base (64 px, width 16,
one thread).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from methods.core.method import Floats
from methods.core.network_method import open_softmax
from methods.core.post_hoc import PostHocMethod
from methods.core.registry import register
from methods.core.settings import Settings
from methods.core.state import Tree

Distance = Literal["euclidean", "cosine", "eucos"]

FEWEST = 5  # distances below which a fit is not trusted; as in Vastlab/vast
SAME = 1e-9  # a relative difference that rounding explains
CERTAIN = 50.0  # exp of it makes the outlier probability 1 in float64

_LOG = logging.getLogger(__name__)


class OpenMaxConfig(Settings):
    """Settings of OpenMax; OSDN's own are constants in its code."""

    base: Literal["base", "base@ce"] = "base"  # the classifier whose logits are revised
    tail: int = Field(default=20, ge=2)  # largest distances per class; OSDN: WEIBULL_TAIL_SIZE
    alpha: int = Field(default=10, ge=1)  # OSDN: ALPHA_RANK of 1000 classes, here at most K; OpenOOD takes 3
    distance: Distance = "euclidean"  # OpenOOD; OSDN's eucos is nearly the cosine on short logit vectors
    euclidean_weight: float = Field(default=1 / 200, ge=0)  # of eucos, as in OSDN; OpenOOD takes 0.5
    filter_correct: bool = True  # OSDN and OpenOOD fit on correctly classified images alone
    positive_only: bool = False  # leave negative logits as they are


@register("openmax")
class OpenMax(PostHocMethod):
    """Softmax over K + 1 revised logits; class 0 of these is "unknown"."""

    kind = "osr"
    title = "Base+OpenMax"
    paper = "Bendale and Boult, CVPR 2016, https://arxiv.org/abs/1511.06233"
    version = 2
    Config = OpenMaxConfig
    # Short tails for small classes, of about 24 images in smoke and 100 in quick.
    PRESETS = {"smoke": {"tail": 5}, "quick": {"tail": 5}, "standard": {}}
    VARIANTS = {"ce": {"base": "base@ce"}, "alpha3": {"alpha": 3}, "positive_only": {"positive_only": True}}
    SEARCH = {"tail": (5, 10, 20)}

    config: OpenMaxConfig

    @classmethod
    def needs(cls, config: OpenMaxConfig) -> tuple[str, ...]:
        return (config.base,)

    def fit_outputs(self, logits: Floats, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self.model = fit_classes(logits, labels, self.config)
        self.tell_tails()
        for label in np.flatnonzero(~self.model.fitted):
            _LOG.warning("class '%s' has no extreme-value fit: its distances do not differ", self.task.classes[label])

    def tell_tails(self) -> None:
        """Note how long the shortest and the longest tail are, and say so where one is shorter than was asked for."""
        tails, asked = self.model.tails, self.config.tail
        self.run.record(shortest_tail=float(tails.min()), longest_tail=float(tails.max()))
        if tails.min() < asked:
            short = int((tails < asked).sum())
            _LOG.warning("%d of %d classes have tails shorter than %d; least %d", short, len(tails), asked, tails.min())

    def score(self, logits: Floats, features: NDArray[np.float32]) -> tuple[Floats, Floats, Mapping[str, Floats]]:
        self.require("model")
        outlying = outlier_probabilities(self.distances(logits), self.model)
        unknown, revised = revise(logits, outlying, self.config.alpha, self.config.positive_only)
        scores, known = open_softmax(revised, unknown)
        return scores, scores.max(axis=1), {"one_minus_p0": known}

    def distances(self, logits: Floats) -> Floats:
        """Of every image to every class mean, (N, K)."""
        return distances(logits, self.model.means, self.config.distance, self.config.euclidean_weight)

    def state(self) -> Tree:
        return asdict(self.model)

    def restore(self, state: Tree) -> None:
        self.model = ClassModels(**state)


@dataclass(frozen=True)
class ClassModels:
    """Per class a mean logit vector and the extreme-value model of distances to it.

    Attributes:
        means: (K, K) float64.
        location, scale: (K,) float64, of a Gumbel distribution for minima; scale > 0.
        fitted: (K,) bool; a class without a fit calls nothing an outlier.
        tails: (K,) int64, how many distances each fit saw.
    """

    means: Floats
    location: Floats
    scale: Floats
    fitted: NDArray[np.bool_]
    tails: NDArray[np.int64]


# -- fit ---------------------------------------------------------------------------------------------


def fit_classes(logits: Floats, labels: NDArray[np.int64], config: OpenMaxConfig) -> ClassModels:
    """Means and tail models from logits (N, K) and labels (N,) of the training images.

    A class with fewer than 5 correct images uses all its images; with fewer than 2 distinct
    distances it stays without a fit.
    """
    num_classes = logits.shape[1]
    models = ClassModels(
        np.zeros((num_classes, num_classes)), np.zeros(num_classes), np.ones(num_classes),
        np.zeros(num_classes, dtype=bool), np.zeros(num_classes, dtype=np.int64),
    )  # fmt: skip
    correct = logits.argmax(axis=1) == labels
    for label in range(num_classes):
        own = labels == label
        chosen = own & correct if config.filter_correct and (own & correct).sum() >= FEWEST else own
        if not chosen.any():
            continue
        vectors = logits[chosen]
        models.means[label] = vectors.mean(axis=0)
        far = distances(vectors, models.means[label : label + 1], config.distance, config.euclidean_weight)[:, 0]
        tail = np.sort(far[np.isfinite(far)])[-config.tail :]
        models.tails[label] = len(tail)
        if len(tail) and np.ptp(tail) > SAME * tail.max():
            models.location[label], models.scale[label] = fit_gumbel_min(tail)
            models.fitted[label] = True
    return models


def fit_gumbel_min(tail: Floats) -> tuple[float, float]:
    """Location m and scale b > 0 of F(d) = 1 - exp(-exp((d - m) / b)) by maximum likelihood.

    b is the root of b + mean(t) - sum(t e^(t/b)) / sum(e^(t/b)), which rises with b. With t moved and
    scaled to [-1, 0] nothing overflows, and both ends of a bracket follow from
    0 <= -sum(t e^(t/b)) / sum(e^(t/b)) <= n b / e.

    Args:
        tail: (n,) finite values, at least two of them different.
    """
    from scipy.optimize import brentq

    top, span = tail.max(), np.ptp(tail)
    t = (tail - top) / span

    def slope(b: float) -> float:
        weights = np.exp(t / b)
        return float(b + t.mean() - (t * weights).sum() / weights.sum())

    gap = -float(t.mean())
    b = brentq(slope, gap / (2 + 2 * len(t) / np.e), gap, xtol=1e-15, rtol=1e-14)
    return float(top + span * b * np.log(np.exp(t / b).mean())), float(span * b)


# -- query -------------------------------------------------------------------------------------------


def distances(vectors: Floats, means: Floats, kind: Distance, euclidean_weight: float) -> Floats:
    """(N, K) distances of rows (N, D) to means (K, D); NaN where the cosine of a zero vector is asked for."""
    from scipy.spatial.distance import cdist

    if kind == "euclidean":
        return cdist(vectors, means, "euclidean")
    cosine = cdist(vectors, means, "cosine")
    return cosine if kind == "cosine" else euclidean_weight * cdist(vectors, means, "euclidean") + cosine


def outlier_probabilities(far: Floats, models: ClassModels) -> Floats:
    """w (N, K) in [0, 1] from distances (N, K); 1 where a distance is not finite."""
    with np.errstate(over="ignore"):
        exponent = np.minimum((far - models.location) / models.scale, CERTAIN)
    w = np.where(np.isfinite(far), -np.expm1(-np.exp(exponent)), 1.0)
    return np.where(models.fitted, w, 0.0)


def revise(logits: Floats, outlying: Floats, alpha: int, positive_only: bool = False) -> tuple[Floats, Floats]:
    """Move the outlying share of the alpha leading logits to "unknown".

    Args:
        logits: (N, K).
        outlying: (N, K) outlier probabilities.
        alpha: how many classes are revised; rank i = 1.. loses at most the share (alpha + 1 - i) / alpha.
        positive_only: leave logits that are not positive as they are.

    Returns:
        The logit of "unknown" (N,) and the revised logits (N, K); together they sum to the logits' sum.
    """
    alpha = min(alpha, logits.shape[1])
    order = np.argsort(-logits, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(logits.shape[1])[None, :], axis=1)
    weight = np.maximum(alpha - rank, 0) / alpha
    if positive_only:
        weight = np.where(logits > 0, weight, 0.0)
    lost = logits * weight * outlying
    return lost.sum(axis=1), logits - lost
