"""Refining discovered groups with one support vector machine each, and placing what is left over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from methods.core.discovery.clusters import compact, group_means
from methods.core.discovery.hashing import Bools, Ints

Features = NDArray[np.float32]

NORM_FLOOR = 1e-12  # a feature of zeros is as far from every group


@dataclass(frozen=True)
class RefineRule:
    """Which groups and which of their images stay.

    Attributes:
        least_positive: a group stays if the machine recognises more of its images than this ...
        least_share: ... and a larger share of them than this.
        cost: C of the machine; both labels weigh the same.
        gamma: of the Gaussian kernel; None: 1 / number of features.
        negatives: at most so many images of other groups, drawn at random; None: all.
    """

    least_positive: int = 100
    least_share: float = 0.5
    cost: float = 1.0
    gamma: float | None = None
    kernel: Literal["rbf", "linear"] = "rbf"
    negatives: int | None = None


def refine(groups: Ints, features: Features, first: int, rule: RefineRule, rng: np.random.Generator) -> Ints:
    """Groups after one machine for each group from `first` on: its images against all other placed ones.

    Images that their own group's machine rejects lose their group, and so do all images of a group of
    which too little is recognised. Nothing is ever added to a group. Survivors are renumbered.
    """
    refined = groups.copy()
    for name in np.unique(groups[groups >= first]):
        members = np.flatnonzero(groups == name)
        others = np.flatnonzero((groups != name) & (groups != -1))
        if rule.negatives is not None and len(others) > rule.negatives:
            others = np.sort(rng.choice(others, rule.negatives, replace=False))
        recognised = recognise(features[members], features[others], rule)
        refined[members[~survivors(recognised, rule)]] = -1
    return compact(refined, first)


def recognise(members: Features, others: Features, rule: RefineRule) -> Bools:
    """(m,) which members the machine puts on their own side; all if there is nobody on the other."""
    from sklearn.svm import SVC

    if not len(others):
        return np.ones(len(members), dtype=bool)
    gamma = "auto" if rule.gamma is None else rule.gamma
    machine = SVC(C=rule.cost, kernel=rule.kernel, gamma=gamma)
    labels = np.repeat([1, 0], [len(members), len(others)])
    machine.fit(np.concatenate([members, others]), labels)
    return np.asarray(machine.predict(members) == 1)


def survivors(recognised: Bools, rule: RefineRule) -> Bools:
    """Which members of a group stay: the recognised ones, or none."""
    positive = int(recognised.sum())
    lost = positive <= rule.least_positive or positive / len(recognised) <= rule.least_share
    return np.zeros_like(recognised) if lost else recognised


def to_nearest_group(groups: Ints, features: Features, num_known: int) -> Ints:
    """Groups with every left-over image (-1) put to the group whose mean feature has the largest cosine with its own.

    Where there is no group at all, one discovered group holds everything. Ties go to the lowest id.
    """
    left = groups == -1
    if left.all():
        return np.full_like(groups, num_known)
    names, means = group_means(features[~left], groups[~left])
    rows = features[left].astype(np.float64)
    # Lengths of the images' own features scale a whole row of cosines and decide nothing.
    cosines = rows @ (means / np.maximum(np.linalg.norm(means, axis=1), NORM_FLOOR)[:, None]).T
    placed = groups.copy()
    placed[left] = names[cosines.argmax(axis=1)]
    return placed
