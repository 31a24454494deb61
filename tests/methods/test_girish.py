"""Discovery end to end on features and on images: what is asserted holds by the design of the stages, not by luck."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import normalized_mutual_info_score

from datasets.types import ImageSet
from methods.core.device import seed_everything
from methods.core.method import Discovery
from methods.core.run import Progress, Run
from methods.girish import Girish, GirishConfig, some
from methods.girish_step1 import GirishStep1
from tests.methods.data import Stop, fit, image_set, make_run, resolver, textures, unfitted

KNOWN, FEATURES = 3, 32
E2E = {"iterations": 1, "hashes": 512, "least_positive": 20, "svm_gamma": 1 / 32}


# -- features without a network --------------------------------------------------------------------


def blank(labels: NDArray[np.int64], classes: int) -> ImageSet:
    return image_set(np.zeros((len(labels), 16, 16, 3), np.uint8), labels, classes)


class Gaussians:
    """Classes around random directions of norm 25 with unit noise, the first three of them known."""

    def __init__(self, unknown: int, seed: int, per_class: int = 200, known_in_pool: int = KNOWN) -> None:
        rng = np.random.default_rng(seed)
        directions = rng.standard_normal((KNOWN + unknown, FEATURES))
        self.means = 25 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        labels = np.repeat(np.arange(KNOWN), per_class)
        present = [*range(known_in_pool), *range(KNOWN, KNOWN + unknown)]
        self.truth = rng.permutation(np.repeat(present, per_class))
        self.labelled = blank(labels, KNOWN)
        self.pool = blank(np.full(len(self.truth), -1), 0)
        self.features = {id(self.labelled): self.drawn(rng, labels), id(self.pool): self.drawn(rng, self.truth)}

    def drawn(self, rng: np.random.Generator, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        return (self.means[labels] + rng.standard_normal((len(labels), FEATURES))).astype(np.float32)


class NoNetwork(GirishStep1):
    """Stands for the first network: given features; the best output is the nearest mean."""

    def __init__(self, data: Gaussians) -> None:
        self.data, self.means = data, data.means[:KNOWN]

    def infer(self, images: ImageSet) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        features = self.data.features[id(images)]
        logits = -np.linalg.norm(features[:, None] - self.means[None], axis=2)
        return logits, features


class Frozen(Girish):
    """Later iterations train nothing; their outputs are the nearest means of known classes and groups."""

    def train(self, iteration: int, groups: NDArray[np.int64]) -> None:
        network: Any = self.first
        pool = network.data.features[id(self.pool)]
        found = [pool[groups == name].mean(axis=0) for name in range(KNOWN, int(groups.max()) + 1)]
        network.means = np.stack([*network.data.means[:KNOWN], *found])


def discover(data: Gaussians, run: Run | None = None, **settings: Any) -> Discovery:
    resolve: Any = lambda key: NoNetwork(data)  # noqa: E731
    method = Frozen(GirishConfig(**{**E2E, **settings}), run or make_run(resolve=resolve))
    return method.discover(data.labelled, data.labelled, data.pool)


def purity(truth: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    return sum(np.bincount(truth[groups == g]).max() for g in np.unique(groups)) / len(truth)


@pytest.mark.parametrize(("unknown", "start"), [(3, 12), (6, 24)])
@pytest.mark.parametrize("seed", [0, 1])
def test_one_iteration_on_separate_classes_finds_pure_groups_of_unknown_ones(
    unknown: int, start: int, seed: int
) -> None:
    data = Gaussians(unknown, seed)
    found = discover(data, start_clusters=start)
    strange = data.truth >= KNOWN
    assert not (strange & found.discovered & (found.groups < KNOWN)).any()  # all of them are outside
    assert (found.groups[~strange & found.discovered] == data.truth[~strange & found.discovered]).mean() > 0.95
    (row,) = found.log
    assert row["attributed"] / (~strange).sum() > 0.95
    assert row["attributed"] + row["outside"] == len(data.truth)
    assert row["after_merging_all"] <= row["after_merging_new"] <= row["clusters"] <= start
    assert purity(data.truth, found.groups) >= 0.99
    assert normalized_mutual_info_score(data.truth, found.groups) >= 0.90
    assert unknown <= row["after_refinement"] <= 2.5 * unknown


def test_more_iterations_merge_on_and_never_end_with_more_groups() -> None:
    data = Gaussians(3, 0)
    log = discover(data, start_clusters=12, iterations=4).log
    assert [row["iteration"] for row in log] == [1, 2, 3, 4]
    assert 2 <= log[-1]["after_refinement"] <= log[0]["after_refinement"]


def test_images_of_known_classes_alone_and_of_unknown_ones_alone_are_grouped() -> None:
    only_known = discover(Gaussians(0, 0), start_clusters=12)
    assert only_known.groups.min() >= 0
    assert len(np.unique(only_known.groups)) <= KNOWN
    only_unknown = discover(Gaussians(3, 0, known_in_pool=0), start_clusters=12)
    assert only_unknown.groups.min() >= KNOWN


def test_groups_count_on_from_the_known_classes_although_some_of_them_are_empty() -> None:
    found = discover(Gaussians(3, 0, known_in_pool=1), start_clusters=12)
    names = np.unique(found.groups).tolist()
    assert names == [0, *range(KNOWN, KNOWN + len(names) - 1)]


def test_too_few_images_outside_leave_known_groups_alone_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = discover(Gaussians(3, 0), start_clusters=5000, iterations=2)
    assert "too few" in caplog.text
    assert (found.groups < KNOWN).all()
    assert not found.discovered.all()


def test_nobody_within_and_every_group_lost_ends_in_one_group() -> None:
    found = discover(Gaussians(2, 0), threshold="quantiles", threshold_value=0.0, least_positive=10**6)
    assert set(found.groups.tolist()) == {KNOWN}
    assert not found.discovered.any()


def test_merging_can_look_at_scaled_features_or_codes_and_chains() -> None:
    data = Gaussians(3, 1)
    for settings in ({"merge_on": "scaled"}, {"merge_on": "codes"}, {"window": 3}, {"rows_per_class": 50}):
        assert purity(data.truth, discover(data, start_clusters=12, **settings).groups) > 0.9, settings
    chains = discover(data, start_clusters=12, connection="weak").log[0]
    assert chains["after_merging_all"] < discover(data, start_clusters=12).log[0]["after_merging_all"]


# -- settings --------------------------------------------------------------------------------------


def test_numbers_that_depend_on_the_pool_by_hand() -> None:
    light = GirishConfig(start_clusters=None, least_positive=None)
    assert [light.first_clusters(n) for n in (15, 16, 100, 4000, 9000)] == [0, 2, 12, 500, 500]
    assert [light.refine_rule(n).least_positive for n in (100, 2000, 34_500)] == [2, 6, 100]
    published = GirishConfig()
    assert [published.first_clusters(n) for n in (500, 501)] == [0, 500]
    assert published.refine_rule(10).least_positive == 100


def weights_of(counts: Mapping[int, int], **settings: Any) -> list[float]:
    method = Girish(GirishConfig(**settings), make_run())
    method.num_known = 2
    labels = np.repeat(list(counts), list(counts.values()))
    return method.class_weights(labels).tolist()


def test_classes_weigh_in_inverse_proportion_to_their_images() -> None:
    assert weights_of({0: 4, 1: 8, 2: 2}) == [2.0, 1.0, 4.0]
    assert weights_of({0: 4, 1: 8, 2: 2}, class_weights=False) == [1.0, 1.0, 1.0]


def test_more_than_ten_groups_get_their_own_weights_unless_they_are_ordered_as_text() -> None:
    sizes = [8, 8, *range(1, 13)]  # group g of twelve has g + 1 images
    own = [12 / size for size in sizes]
    assert weights_of(dict(enumerate(sizes))) == pytest.approx(own)
    text_order = [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    expected = own[:2] + [12 / (g + 1) for g in text_order]
    assert weights_of(dict(enumerate(sizes)), weight_order="text") == pytest.approx(expected)


def test_some_rows_are_all_or_a_drawn_part_in_order() -> None:
    rows = np.arange(10, 20)
    assert some(rows, None, np.random.default_rng(0)).tolist() == rows.tolist()
    part = some(rows, 4, np.random.default_rng(0))
    assert len(set(part.tolist())) == 4
    assert part.tolist() == sorted(part.tolist())


# -- images ----------------------------------------------------------------------------------------

# Few images: a machine of unit cost would find it cheapest to recognise none of a small group.
SETTINGS = {"start_clusters": 6, "least_positive": 2, "epochs": 2, "steps_per_epoch": 4, "svm_cost": 100.0}


@pytest.fixture(scope="module")
def task() -> tuple[ImageSet, ImageSet, ImageSet, NDArray[np.int64]]:
    """Labelled images of three classes, and a pool with two more."""
    labelled, val, every = textures(3, 20, 32), textures(3, 8, 32, seed=1), textures(5, 16, 32, seed=2)
    order = np.random.default_rng(0).permutation(len(every))
    return labelled, val, every.unlabelled(order), every.labels[order]


@pytest.fixture(scope="module")
def known(task: Any) -> dict[str, Any]:
    labelled, val, *_ = task
    return {"girish_step1": fit("girish_step1", labelled, val)}


def run_once(task: Any, known: dict[str, Any], **options: Any) -> tuple[Discovery, Girish]:
    labelled, val, pool, _ = task
    run = make_run(resolve=resolver(labelled, val, known=known), **options)
    method = unfitted("girish", run, overrides=SETTINGS)
    return method.discover(labelled, val, pool), method


@pytest.fixture(scope="module")
def uninterrupted(task: Any, known: dict[str, Any]) -> tuple[Discovery, Girish]:
    return run_once(task, known)


def test_unknown_textures_are_kept_apart_from_known_ones(task: Any, uninterrupted: Any) -> None:
    found, _ = uninterrupted
    assert purity(task[3], found.groups) > 0.7
    names = np.unique(found.groups)
    assert names.min() >= 0
    assert set(names[names >= 3]) == set(range(3, 3 + (names >= 3).sum()))
    assert len(found.log) == 2


def test_the_network_goes_on_with_as_many_outputs_as_groups_and_nobody_else_sees_it(
    uninterrupted: Any, known: dict[str, Any]
) -> None:
    found, method = uninterrupted
    assert method.first.net.classifier.out_features == 3 + found.log[0]["after_refinement"]
    first = known["girish_step1"].net
    assert first.classifier.out_features == 3
    assert not torch.equal(first.layers[0].weight, method.first.net.layers[0].weight)


def test_a_discovery_that_is_stopped_and_resumed_equals_an_uninterrupted_one(
    task: Any, known: dict[str, Any], uninterrupted: Any, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 0:
            raise Stop

    for starts in range(1, 20):
        seed_everything(starts)
        try:
            found, method = run_once(task, known, tmp=tmp_path, report=stop, save_every_seconds=0)
        except Stop:
            continue
        break
    expected, whole = uninterrupted
    assert starts > 3
    assert (found.groups == expected.groups).all()
    assert (found.discovered == expected.discovered).all()
    assert found.log == expected.log
    assert len(method.run.history.rows) == len(whole.run.history.rows)


def test_training_sees_labelled_images_and_those_of_discovered_groups(task: Any) -> None:
    labelled, _, pool, _ = task
    method = Girish(GirishConfig(), make_run())
    method.labelled, method.pool, method.num_known = labelled, pool, 3
    groups = np.full(len(pool), -1)
    groups[[3, 8]], groups[5] = 4, 3
    groups[7] = 0  # given to a known class: not a training image
    images = method.training_images(groups)
    assert images.classes == (*labelled.classes, "group 3", "group 4")
    assert images.labels.tolist() == [*labelled.labels.tolist(), 4, 3, 4]
    assert (images.batch(slice(60, 63)) == pool.batch(np.array([3, 5, 8]))).all()


def test_a_variant_starts_from_the_network_that_it_names(task: Any) -> None:
    labelled, val, pool, _ = task
    method = unfitted("girish@dct", make_run(max_steps=2, resolve=resolver(labelled, val, max_steps=2)))
    assert type(method).needs(method.config) == ("girish_step1@dct",)
    found = method.discover(labelled, val, pool)
    assert found.groups.min() >= 0
    assert method.first.net.trunk.input.basis.shape == (32, 32)
