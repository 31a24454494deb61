"""Cells of discovery methods: what the method is given, what is kept, and which figures follow from it."""

from __future__ import annotations

import json
import os
from dataclasses import fields

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from benchmark.cells.files import EVALUATION, HISTORY, ITERATIONS, LOG
from benchmark.cells.path import CELL
from benchmark.cells.record import read_record
from benchmark.cells.store import Store
from benchmark.evaluation.cell import evaluate_cell
from benchmark.evaluation.discovery import Groups
from benchmark.evaluation.parts import PARTS, POOLS, in_pool, pool_order, true_classes
from benchmark.evaluation.verify import verify_cell
from benchmark.metrics.clustering import cluster_figures
from benchmark.running.runner import run_plan
from methods.core import registry as registry_module
from tests.benchmark.rows import DATA
from tests.benchmark.toy import PLUGINS, execution, planned, toy_request

DISCOVERERS = PLUGINS.parent / "discoverers"


def with_discoverers(patch):
    patch.setattr(registry_module, "METHODS_FOLDER", PLUGINS / "none")
    patch.setenv(registry_module.FOLDERS_VARIABLE, os.pathsep.join(map(str, (PLUGINS, DISCOVERERS))))
    return registry_module.load_registry()


@pytest.fixture
def registry(monkeypatch):
    return with_discoverers(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished discovery cell."""
    with pytest.MonkeyPatch.context() as patch:
        registry = with_discoverers(patch)
        results = tmp_path_factory.mktemp("results")
        (cell,) = planned(registry, "sorter", splits=("split1",))
        (outcome,) = run_plan([cell], execution(results), registry, lambda outcome: None)
        assert (outcome.status, outcome.reason) == ("done", None)
    return Store(results).folder(cell)


# -- what goes in and what is kept -------------------------------------------------------------------


def test_the_pool_comes_without_labels_classes_sources_or_telling_names(finished):
    (seen,) = json.loads((finished / ITERATIONS).read_text())
    assert (seen["labels"], seen["classes"], seen["sources"]) == ([-1], [], "none")
    assert (seen["first"], seen["last"]) == ("image-000000", "image-000047")


def test_the_pool_is_all_test_images_in_an_order_that_says_nothing_of_classes(finished):
    split = toy_request().open().split("split1")
    kept = Groups.load(finished)
    expected = [split.test, *(split.unknown[group] for group in ("seed", "arch", "dataset"))]
    assert kept.ids.tolist() == [name for images in expected for name in images.ids.tolist()]
    assert kept.label.tolist() == [label for images in expected for label in images.labels.tolist()]
    assert [PARTS[part] for part in np.unique(kept.part)] == ["known", "seed", "arch", "dataset"]
    order = pool_order(48)
    assert sorted(order.tolist()) == list(range(48))
    assert np.abs(np.diff(order)).mean() > 10
    # The method counts images as they come to it: every fourth one is not discovered.
    assert kept.discovered[order].tolist() == [position % 4 > 0 for position in range(48)]


def test_a_discovery_cell_keeps_groups_and_no_model_or_predictions(finished):
    files = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    assert files == {CELL, EVALUATION, HISTORY, LOG, Groups.FILE, ITERATIONS}
    record = read_record(finished)
    assert record is not None
    assert (record.kind, record.status) == ("discovery", "done")
    assert record.cost.train_seconds >= 0
    assert "groups of 48 images" in (finished / LOG).read_text()
    assert verify_cell(finished) == []


@pytest.mark.parametrize(
    ("variant", "reason"), [("short", "groups of shape (47,), expected (48,)"), ("nowhere", "left 1 images without")]
)
def test_an_answer_of_another_form_is_a_failure(registry, tmp_path, variant, reason):
    cells = planned(registry, f"sorter@{variant}", splits=("split1",))
    (outcome,) = run_plan(cells, execution(tmp_path), registry, lambda outcome: None)
    assert outcome.status == "failed"
    assert reason in outcome.reason


# -- figures -----------------------------------------------------------------------------------------


def grouping(tmp_path, part, label, group, discovered):
    ids = np.array([f"i{number}" for number in range(len(part))])
    parts = np.array([PARTS.index(name) for name in part], dtype=np.int8)
    kept = Groups(parts, ids, np.array(label), np.array(group), np.array(discovered, dtype=bool))
    kept.save(tmp_path)
    return evaluate_cell(tmp_path, DATA)


def test_figures_of_every_pool_by_hand(tmp_path):
    # Class 0 of "known" and class 0 of "seed" are different classes. Groups 0 and 1 are known ones.
    part = ["known", "known", "known", "seed", "seed", "arch"]
    values = grouping(tmp_path, part, [0, 1, 0, 0, 0, 0], [0, 1, 1, 4, 4, 4], [1, 1, 0, 1, 1, 1])
    rows = {(row.pool, row.of): row for row in values.clusterings}
    assert rows["all", "all"].figures["purity"] == pytest.approx((1 + 1 + 2) / 6)
    assert (rows["all", "all"].clusters, rows["all", "all"].classes, rows["all", "all"].images) == (3, 4, 6)
    assert rows["all", "all"].coverage == 1
    assert rows["all", "discovered"].coverage == pytest.approx(5 / 6)
    assert rows["all", "discovered"].figures["purity"] == pytest.approx((1 + 1 + 2) / 5)
    assert rows["known+seed", "all"].clusters == 3
    assert rows["known+seed", "all"].figures["purity"] == pytest.approx((1 + 1 + 2) / 5)
    assert (rows["unknown", "all"].figures["purity"], rows["unknown", "all"].figures["nmi"]) == (
        pytest.approx(2 / 3),
        0,
    )
    truth, groups = [0, 1, 0, 2, 2, 3], [0, 1, 1, 4, 4, 4]
    expected = normalized_mutual_info_score(truth, groups, average_method="arithmetic")
    assert rows["all", "all"].figures["nmi"] == pytest.approx(expected)
    assert rows["all", "all"].figures["ari"] == pytest.approx(adjusted_rand_score(truth, groups))


def test_accuracy_auc_and_oscr_are_not_there_and_the_share_of_named_known_images_has_its_own_name(tmp_path):
    values = grouping(tmp_path, ["known"] * 4 + ["seed"], [0, 0, 1, 1, 0], [0, 3, 1, 1, 3], [1] * 5)
    assert {field.name for field in fields(values)}.isdisjoint({"accuracy", "closed_set", "unknown"})
    assert values.transductive_accuracy == 0.75
    assert values.known_clusters == 2


def test_an_empty_pool_has_no_figures(tmp_path):
    values = grouping(tmp_path, ["known", "known"], [0, 1], [0, 1], [0, 0])
    rows = {(row.pool, row.of): row for row in values.clusterings}
    assert rows["unknown", "all"].figures == {}
    assert rows["unknown", "all"].coverage is None
    assert rows["all", "discovered"].coverage == 0


def test_classes_of_different_parts_never_share_an_id():
    part = np.array([1, 1, 2, 2, 3], dtype=np.int8)
    assert len(np.unique(true_classes(part, np.array([0, 1, 0, 1, 0])))) == 5


def test_pools_hold_known_test_images_and_the_named_group():
    part = np.arange(len(PARTS), dtype=np.int8)
    named = {pool: [PARTS[position] for position in part[in_pool(part, pool)]] for pool in POOLS}
    assert named == {
        "all": ["known", "seed", "arch", "dataset"],
        "known+seed": ["known", "seed"],
        "known+arch": ["known", "arch"],
        "known+dataset": ["known", "dataset"],
        "unknown": ["seed", "arch", "dataset"],
    }


def test_agreement_counts_clusters_and_classes():
    found = cluster_figures(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1]))
    assert (found.images, found.classes, found.clusters) == (6, 2, 2)
    assert [round(found.figures[name], 4) for name in ("purity", "nmi", "ari")] == [0.8333, 0.4787, 0.3243]
