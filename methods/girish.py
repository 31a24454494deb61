"""Girish et al.: discovery of unknown generators in an unlabelled pool.

Paper: Girish, Suri, Rambhatla, Shrivastava, "Towards Discovery and Attribution of Open-World GAN
Generated Images", ICCV 2021, https://arxiv.org/abs/2105.04580.
Code read: Sharath-girish/openworld-gan (train_classifier.py, ood_detection.py, clustering.py, merge.py,
refine.py, utils.py, cfgs/config.yaml).

Four iterations of: train a classifier on the labelled images and on the groups found so far; hash its
features; give images that lie within a known class or a group to the network's answer; split all others
into many small clusters; merge mutual nearest clusters twice; let a support vector machine for each group
throw out what it does not recognise. What is left over in the end goes to the nearest group. It learns
from the very images that it groups, so it has no score for a single image: accuracy, AUC and OSCR do not
apply. The first network alone is the method girish_step1, whose fitted network this one takes over.

Kept: every stage with its numbers; the scaler fitted on labelled and discovered images from the second
iteration on ("scale_on"); hashing and clustering on scaled features, merging and machines on features as they
come; both merging passes in the first iteration too, where they meet the same clusters ("merge_passes");
merging without any rule that stops it ("merge_max_distance" is ours, off); images given to a known class
never train the network, nor are they looked at again.
Repaired: class weights follow group numbers ("weight_order": "text" has the order of the code, which is
wrong from eleven groups on). Repaired for good: an empty cluster takes the farthest image (the code starts
over until it is lucky); new groups never get the number of a known class without images, which would make
them that class; the network always has as many outputs as there are groups; every draw is seeded.
Changed, exactly: a mean hash distance comes from the mean code, thresholds from a histogram of distances,
Lloyd ends when nothing moves, a machine judges its own group's images alone.
Light presets: fewer iterations, epochs and hashes; the number of first clusters and the least size of a group
shrink with the pool ("start_clusters", "least_positive" None).

How the published comparison with POSE ran it (labelled part, pool, left-over images) is not stated; here
the labelled part is the training set, the pool all test images. Checkpoint policy: last epoch; the
validation set is not used. Cost: iterations x epochs steps on labelled and discovered images.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field

from datasets.types import ImageSet
from methods.core.discovery.clusters import Connection, drop_small, merge, start_clusters
from methods.core.discovery.hashing import (
    Codes,
    Floats,
    Ints,
    ScaleKind,
    Scaler,
    ThresholdRule,
    WinnerTakeAll,
    attribute,
)
from methods.core.discovery.refinement import Features, RefineRule, refine, to_nearest_group
from methods.core.images.joined import JoinedImages
from methods.core.method import Discovery, DiscoveryMethod
from methods.core.registry import register
from methods.core.settings import Settings
from methods.core.state import Tree
from methods.core.training import descend
from methods.girish_step1 import GirishStep1

FeatureKind = Literal["raw", "scaled", "codes"]

POSE_POOL, POSE_LEAST = 34_500, 100  # images in the pool of the comparison with POSE, and least positives there
CLUSTERS, IMAGES_PER_CLUSTER, FEWEST = 500, 8, 16  # what replaces the fixed number of first clusters on a small pool

_LOG = logging.getLogger(__name__)


class GirishConfig(Settings):
    """Settings of discovery; in brackets the names of cfgs/config.yaml, whose values they have."""

    first: Literal["girish_step1", "girish_step1@dct", "girish_step1@augmented"] = "girish_step1"  # the first network
    iterations: int = Field(default=4, ge=1)  # [num_iters]
    # -- training from the second iteration on
    epochs: int = Field(default=100, ge=1)  # [num_epochs] of step 2
    steps_per_epoch: int | None = Field(default=None, ge=1)  # None: one pass
    learning_rate: float = Field(default=1e-4, gt=0)
    batch_size: int = Field(default=256, ge=1)  # images per batch
    class_weights: bool = True  # [weighted]: a class counts n_max / n_c
    weight_order: Literal["number", "text"] = "number"  # "text": group 10 comes before group 2, as in the code
    # -- hashing
    hashes: int = Field(default=2048, ge=1)  # [num_hashes]
    window: int = Field(default=2, ge=2)  # [window_size]
    scale: ScaleKind = "mean_std"  # [normalize_type]
    scale_on: Literal["training", "labelled"] = "training"  # the code: with discovered images
    threshold: Literal["quantiles", "mean_std"] = "quantiles"  # [thresh_type]
    threshold_value: float = 0.9  # [thresh_value]
    rows_per_class: int | None = Field(default=None, ge=2)  # random members that stand for a class; None: all
    # -- first clusters
    start_clusters: int | None = Field(default=500, ge=1)  # [num_clusters]; None: an eighth of the images, up to 500
    lloyd_steps: int = Field(default=300, ge=1)  # [max_iter]
    least_cluster: int = Field(default=0, ge=0)  # [clustering: size_threshold]
    # -- merging
    connection: Connection = "strong"  # [connection_type]
    merge_on: FeatureKind = "raw"  # the code: raw, or codes [use_wta]
    merge_passes: tuple[Literal["new", "all"], ...] = ("new", "all")  # main.py
    merge_max_distance: float | None = Field(default=None, ge=0)
    # -- refinement
    least_positive: int | None = Field(default=100, ge=0)  # [refine: size_threshold]; None: in proportion to the pool
    least_share: float = Field(default=0.5, ge=0, le=1)  # [purity_threshold]
    kernel: Literal["rbf", "linear"] = "rbf"  # [kernel_type]
    svm_cost: float = Field(default=1.0, gt=0)  # ThunderSVM's default
    svm_gamma: float | None = Field(default=None, gt=0)  # None: 1 / number of features, ThunderSVM's default
    svm_negatives: int | None = Field(default=None, ge=1)  # random images of other groups; None: all

    def first_clusters(self, images: int) -> int:
        """How many clusters so many undiscovered images are split into; 0: there are too few of them."""
        if self.start_clusters is not None:
            return self.start_clusters if images > self.start_clusters else 0
        return 0 if images < FEWEST else min(CLUSTERS, round(images / IMAGES_PER_CLUSTER))

    def refine_rule(self, pool: int) -> RefineRule:
        least = self.least_positive
        if least is None:
            least = max(2, round(POSE_LEAST * pool / POSE_POOL))
        return RefineRule(least, self.least_share, self.svm_cost, self.svm_gamma, self.kernel, self.svm_negatives)


QUICK: dict[str, Any] = {
    "iterations": 2, "epochs": 3, "learning_rate": 1e-3, "batch_size": 30, "hashes": 512,
    "start_clusters": None, "least_positive": None,
}  # fmt: skip


class Standing:
    """What is known of the pool between two stages, in a form that can be saved."""

    def __init__(self, images: int) -> None:
        self.groups: Ints = np.full(images, -1, dtype=np.int64)
        self.placed = self.groups  # with left-over images in the nearest group
        self.log: list[dict[str, int]] = []

    def state_dict(self) -> Tree:
        return {"groups": self.groups, "placed": self.placed, "log": self.log}

    def load_state_dict(self, state: Tree) -> None:
        self.groups, self.placed, self.log = state["groups"], state["placed"], state["log"]


@dataclass(frozen=True)
class Views:
    """The pool as the stages of one iteration see it.

    Attributes:
        raw, scaled: (n, D) features as they come and scaled.
        predicted: (n,) the network's best output.
        hashing: the hashes of this iteration.
        codes, labelled_codes: (n, N) and (labelled images, N).
    """

    raw: Features
    scaled: Floats
    predicted: Ints
    hashing: WinnerTakeAll
    codes: Codes
    labelled_codes: Codes

    def of(self, kind: FeatureKind) -> NDArray[np.floating]:
        """(n, D) or code vectors, for distances between groups."""
        if kind == "codes":
            return self.hashing.vectors(self.codes)
        return self.raw if kind == "raw" else self.scaled


@register("girish")
class Girish(DiscoveryMethod):
    """Iterated training, attribution, clustering, merging and refinement on a pool."""

    title = "Girish et al."
    paper = "Girish et al., ICCV 2021, https://arxiv.org/abs/2105.04580"
    requires = ("girish_step1",)
    Config = GirishConfig
    PRESETS = {
        "smoke": {**QUICK, "epochs": 1, "hashes": 128},
        "quick": QUICK,
        "standard": {
            "epochs": 5,
            "learning_rate": 1e-3,
            "batch_size": 64,
            "rows_per_class": 1000,
            "start_clusters": None,
            "least_positive": None,
            "svm_negatives": 10_000,
        },
    }
    VARIANTS = {
        "dct": {"first": "girish_step1@dct"},
        "augmented": {"first": "girish_step1@augmented"},
        "weak": {"connection": "weak"},
        "once": {"iterations": 1},
    }
    STANDING = ("dct",)  # with the input of the open-set methods, so that the stages are compared and not the input

    config: GirishConfig

    @classmethod
    def needs(cls, config: GirishConfig) -> tuple[str, ...]:
        return (config.first,)

    def discover(self, labelled: ImageSet, val: ImageSet, pool: ImageSet) -> Discovery:
        self.labelled, self.pool, self.num_known = labelled, pool, len(labelled.classes)
        self.rule = self.config.refine_rule(len(pool))
        # The required method is fetched anew for this run; its network is exchanged as training goes on.
        self.first = self.run.fitted(self.config.first, GirishStep1)
        standing = Standing(len(pool))
        for iteration in range(1, self.config.iterations + 1):
            if iteration > 1:
                with self.run.stage(f"iteration {iteration} training"):
                    self.train(iteration, standing.groups)
            with self.run.stage(f"iteration {iteration} grouping"):
                self.run.track(standing=standing)
                for _ in self.run.epochs(1):  # a resumed run takes the groups back and skips this
                    self.group(iteration, standing)
        return Discovery(standing.placed, standing.groups != -1, [dict(row) for row in standing.log])

    # -- training ------------------------------------------------------------------------------------

    def train(self, iteration: int, groups: Ints) -> None:
        """Train the network further, with a new head, on the labelled images and the groups found so far."""
        config, images = self.config, self.training_images(groups)
        net = self.first.net
        with self.run.seeded("head", iteration):
            net.renew_head(len(images.classes))
        optimiser = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
        weights = torch.from_numpy(self.class_weights(images.labels)).to(self.run.device)
        batches = self.run.batches(
            images, "shuffled", size=config.batch_size, steps=config.steps_per_epoch,
            transform=self.first.transform, name=f"iteration {iteration}",
        )  # fmt: skip
        self.run.track(net=net, optimiser=optimiser)
        for epoch in self.run.epochs(config.epochs, len(batches)):
            net.train()
            for batch in batches.epoch(epoch):
                loss = F.cross_entropy(net(batch.images)[0], batch.labels, weight=weights)
                self.run.log(cls=loss)
                descend(loss, optimiser)
        net.eval()

    def training_images(self, groups: Ints) -> JoinedImages:
        """Labelled images, then those of discovered groups, not those given to known classes."""
        found = np.flatnonzero(groups >= self.num_known)
        labels = np.concatenate([self.labelled.labels, groups[found]])
        names = (f"group {number}" for number in range(self.num_known, int(labels.max()) + 1))
        return JoinedImages([self.labelled, self.pool.take(found)], labels, (*self.labelled.classes, *names))

    def class_weights(self, labels: Ints) -> NDArray[np.float32]:
        """(K + C,) n_max / n_c, or ones."""
        counts = np.bincount(labels)
        weights = np.float32(counts.max()) / np.maximum(counts, 1).astype(np.float32)
        if not self.config.class_weights:
            return np.ones_like(weights)
        if self.config.weight_order == "text":
            discovered = sorted(range(len(counts) - self.num_known), key=str)
            weights[self.num_known :] = weights[self.num_known :][discovered]
        return weights

    # -- grouping ------------------------------------------------------------------------------------

    def group(self, iteration: int, standing: Standing) -> None:
        """All stages after training; notes groups and a row of the log."""
        views = self.features(iteration, standing.groups)
        groups = self.attributed(iteration, standing.groups, views)
        row = {"iteration": iteration, "attributed": int((groups != -1).sum()), "outside": int((groups == -1).sum())}
        groups, fresh = self.clustered(iteration, groups, views.scaled)
        row["clusters"] = self.found(groups)
        rows = views.of(self.config.merge_on)
        for which in self.config.merge_passes:
            groups = self.merged(groups, rows, fresh if which == "new" else self.num_known)
            row[f"after_merging_{which}"] = self.found(groups)
        groups = refine(groups, views.raw, self.num_known, self.rule, self.run.numpy_generator("negatives", iteration))
        row |= {"after_refinement": self.found(groups), "left_over": int((groups == -1).sum())}
        if not row["after_refinement"]:
            _LOG.warning("iteration %d: no group was discovered; the next one trains on known classes", iteration)
        standing.groups, standing.log = groups, [*standing.log, row]
        standing.placed = to_nearest_group(groups, views.raw, self.num_known)
        self.run.record(**{name: float(value) for name, value in row.items()})

    def found(self, groups: Ints) -> int:
        """Number of discovered groups."""
        return len(np.unique(groups[groups >= self.num_known]))

    def features(self, iteration: int, groups: Ints) -> Views:
        """Features of labelled images and pool under the network of this iteration, scaled and hashed."""
        config = self.config
        _, labelled = self.first.infer(self.labelled)
        logits, raw = self.first.infer(self.pool)
        training = labelled
        if config.scale_on == "training":
            training = np.concatenate([labelled, raw[groups >= self.num_known]])
        scaler = Scaler.fitted(training, config.scale)
        rng = self.run.numpy_generator("hashes", iteration)
        hashing = WinnerTakeAll.drawn(config.hashes, config.window, raw.shape[1], rng)
        scaled = scaler(raw)
        return Views(
            raw, scaled, logits.argmax(axis=1), hashing, hashing.codes(scaled), hashing.codes(scaler(labelled))
        )

    def attributed(self, iteration: int, groups: Ints, views: Views) -> Ints:
        """Images that lie within a class or group take the network's answer."""
        config = self.config
        rule = ThresholdRule(config.threshold, config.threshold_value)
        rng = self.run.numpy_generator("members", iteration)

        def sets(codes: Codes, labels: Ints, names: Sequence[int]) -> list[Codes]:
            return [codes[some(np.flatnonzero(labels == name), config.rows_per_class, rng)] for name in names]

        known = sets(views.labelled_codes, self.labelled.labels, range(self.num_known))
        discovered = sets(views.codes, groups, np.unique(groups[groups >= self.num_known]).tolist())
        in_known = views.hashing.accepted(views.codes, known, rule)
        in_discovered = views.hashing.accepted(views.codes, discovered, rule)
        return attribute(groups, views.predicted, in_known, in_discovered, self.num_known)

    def clustered(self, iteration: int, groups: Ints, scaled: Floats) -> tuple[Ints, int]:
        """Split images without a group into clusters; also the first number that belongs to a new one."""
        first = max(self.num_known, int(groups.max()) + 1)
        outside = np.flatnonzero(groups == -1)
        count = self.config.first_clusters(len(outside))
        if not count:
            _LOG.warning("iteration %d: %d images outside are too few to be clustered", iteration, len(outside))
            return groups, first
        clusters = groups.copy()
        rng = self.run.numpy_generator("clusters", iteration)
        clusters[outside] = first + start_clusters(scaled[outside], count, self.config.lloyd_steps, rng)
        return drop_small(clusters, first, self.config.least_cluster), first

    def merged(self, groups: Ints, rows: NDArray[np.floating], first: int) -> Ints:
        return merge(groups, rows, first, self.config.connection, self.config.merge_max_distance)


def some(rows: Ints, count: int | None, rng: np.random.Generator) -> Ints:
    """All of the rows, or so many of them at random, in order."""
    if count is None or len(rows) <= count:
        return rows
    return np.sort(rng.choice(rows, count, replace=False))
