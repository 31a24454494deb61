"""Clusterings of stored features: what is computed, kept, found again, and shown."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from benchmark.boards.rows import LOCAL, load_entries
from benchmark.cells.arrays import read_arrays
from benchmark.cells.files import CLUSTERS, EVALUATION, write_arrays
from benchmark.cells.path import CELL
from benchmark.cells.record import read_record
from benchmark.cells.store import Store
from benchmark.commands import run, run_all
from benchmark.commands.main import main
from benchmark.evaluation.cell import evaluate_cell
from benchmark.evaluation.cluster_cells import FEATURES, KMeansRequest, cluster_cell, missing, statistics
from benchmark.evaluation.cluster_plan import (
    ClusterPlan,
    cluster_all,
    cluster_for_table,
    discoveries,
    found_clusters,
    outdated,
    true_number,
)
from benchmark.evaluation.parts import in_pool, pool_order, true_classes
from benchmark.evaluation.predictions import Predictions
from benchmark.evaluation.verify import verify_cell
from benchmark.running.runner import run_plan
from tests.benchmark.boards.test_leaderboard import table
from tests.benchmark.evaluation.test_discovery import with_discoverers
from tests.benchmark.toy import ToyRequest, execution, planned, refused

QUICK = ClusterPlan(seeds=(0,), n_init=2)


@pytest.fixture
def registry(monkeypatch):
    return with_discoverers(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results with an ordinary and two discovery rows on one split, and the ordinary row on another."""
    results = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        registry = with_discoverers(patch)
        cells = planned(registry, "sorter", "nearest", splits=("split1",))
        cells += planned(registry, "nearest", splits=("split2",))
        outcomes = run_plan(cells, execution(results), registry, lambda outcome: None)
    assert {outcome.status for outcome in outcomes} == {"done"}
    return results


@pytest.fixture
def root(made, tmp_path):
    """A copy of them that a test may change: <results>/<data set>/<preset>."""
    shutil.copytree(made, tmp_path / "results")
    (folder,) = (tmp_path / "results").glob("toy/*")
    return folder


def cell(root, key="nearest", split="split1"):
    return root / key / f"{split}-seed0"


def local(root):
    return [(folder, read_record(folder)) for folder in sorted(root.glob("*/*")) if read_record(folder)]


# -- one clustering ----------------------------------------------------------------------------------


def test_ids_are_those_of_kmeans_on_the_pool_in_its_shuffled_order(root):
    folder = cell(root)
    cluster_cell(folder, KMeansRequest(3, "known+arch", seed=1, n_init=2))
    kept = read_arrays(folder / CLUSTERS / "known+arch-k3-none-seed1-init2.npz")
    rows = np.flatnonzero(in_pool(Predictions.load(folder).part, "known+arch"))
    order = pool_order(len(rows))
    features = read_arrays(folder / FEATURES)["features"][rows][order].astype(np.float64)
    model = KMeans(3, n_init=2, random_state=1, algorithm="lloyd").fit(features)
    assert adjusted_rand_score(model.labels_, kept["ids"][order]) == 1
    assert kept["inertia"] == pytest.approx(model.inertia_)
    assert (kept["k"], kept["effective_k"], kept["dtype"]) == (3, 3, "float64")
    assert "scikit-learn" in str(kept["made_with"])


def test_the_same_request_gives_the_same_ids_and_is_not_computed_again(root):
    request = KMeansRequest(4, n_init=2)
    assert missing(cell(root), [request]) == [request]
    first = read_arrays(cluster_cell(cell(root), request) / CLUSTERS / request.file)["ids"]
    assert missing(cell(root), [request]) == []
    (cell(root) / CLUSTERS / request.file).unlink()
    assert (read_arrays(cluster_cell(cell(root), request) / CLUSTERS / request.file)["ids"] == first).all()


def test_other_features_under_the_same_name_are_clustered_again(root):
    request = KMeansRequest(4, n_init=2)
    cluster_cell(cell(root), request)
    stored = read_arrays(cell(root) / FEATURES)
    write_arrays(cell(root) / FEATURES, {**stored, "features": stored["features"] + 1})
    assert missing(cell(root), [request]) == [request]


def test_training_statistics_lie_beside_the_features_and_serve_to_standardise(root):
    stored = read_arrays(cell(root) / FEATURES)
    assert stored["train_mean"].shape == stored["train_std"].shape == (3,)
    request = KMeansRequest(3, normalisation="standardize", n_init=2)
    ids = read_arrays(cluster_cell(cell(root), request) / CLUSTERS / request.file)["ids"]
    rows = np.flatnonzero(in_pool(Predictions.load(cell(root)).part, "all"))
    order = pool_order(len(rows))
    scaled = (stored["features"][rows][order].astype(np.float64) - stored["train_mean"]) / stored["train_std"]
    model = KMeans(3, n_init=2, random_state=0).fit(scaled)
    assert adjusted_rand_score(model.labels_, ids[order]) == 1


def test_statistics_by_hand():
    found = statistics(np.array([[1, 0], [3, 0]], dtype=np.float32))
    assert found["train_mean"].tolist() == [2, 0]
    assert found["train_std"].tolist() == [1, 0]


def test_features_without_training_statistics_cannot_be_standardised(root):
    stored = read_arrays(cell(root) / FEATURES)
    write_arrays(cell(root) / FEATURES, {"features": stored["features"]})
    with refused("lacks the mean of its training features"):
        cluster_cell(cell(root), KMeansRequest(3, normalisation="standardize"))


# -- how many groups ---------------------------------------------------------------------------------


def test_the_true_number_counts_every_unknown_class_and_every_known_one(root):
    numbers = {pool: true_number(cell(root), pool) for pool in ("all", "known+seed", "known+arch", "unknown")}
    assert numbers == {"all": 8, "known+seed": 5, "known+arch": 6, "unknown": 4}


def test_the_number_found_is_that_of_discovery_on_the_same_split_and_seed(root):
    ordinary, other = (read_record(cell(root, split=split)) for split in ("split1", "split2"))
    (found,) = discoveries(cell(root), ordinary)
    assert list(discoveries(cell(root, split="split2"), other)) == []
    groups = read_arrays(cell(root, "sorter") / "groups.npz")
    assert found_clusters(found, "all") == len(np.unique(groups["group"]))
    requests = ClusterPlan(seeds=(0, 1)).requests(cell(root), ordinary)
    assert {(request.k, request.seed) for request in requests} == {
        (k, s) for k in (8, found_clusters(found, "all")) for s in (0, 1)
    }
    assert [request.k for request in ClusterPlan(rules=("49",), seeds=(0,)).requests(cell(root), ordinary)] == [49]
    assert {request.k for request in QUICK.requests(cell(root, split="split2"), other)} == {8}


# -- all cells ---------------------------------------------------------------------------------------


def test_figures_follow_from_kept_ids_bit_by_bit_without_the_features(root):
    assert cluster_all(local(root), QUICK) == 3
    stored = json.loads((cell(root) / EVALUATION).read_text())
    (cell(root) / FEATURES).unlink()
    fresh = evaluate_cell(cell(root), read_record(cell(root)).facts)
    assert json.loads(json.dumps(asdict(fresh))) == stored
    assert verify_cell(cell(root)) == [f"{cell(root)}: {FEATURES} is missing"]  # and nothing else
    assert len(stored["clusterings"]) == 2
    truth = Predictions.load(cell(root))
    inside = in_pool(truth.part, "all")
    row = next(row for row in stored["clusterings"] if row["k"] == 8)
    ids = read_arrays(cell(root) / CLUSTERS / "all-k8-none-seed0-init2.npz")["ids"]
    expected = adjusted_rand_score(true_classes(truth.part, truth.label)[inside], ids)
    assert row["figures"]["ari"] == pytest.approx(expected, abs=1e-15)
    assert (row["classes"], row["clusters"], row["images"]) == (8, 8, 48)


def test_evaluate_rebuilds_every_evaluation_with_equal_numbers_and_without_training(root, registry):
    cluster_all(local(root), QUICK)
    files = sorted(root.glob(f"*/*/{EVALUATION}"))
    before = [path.read_bytes() for path in files]
    assert len(files) == 3
    for path in files:
        path.unlink()
    results = root.parents[1]
    assert main(["evaluate", "--results", str(results), "--leaderboards", str(results / "boards")]) == 0
    assert [path.read_bytes() for path in files] == before


def test_a_second_time_nothing_is_computed_and_a_lost_evaluation_is_made_again(root):
    cluster_all(local(root), QUICK)
    before = (cell(root) / EVALUATION).read_bytes()
    (cell(root) / EVALUATION).write_text("{}")
    assert cluster_all(local(root), QUICK) == 0
    assert (cell(root) / EVALUATION).read_bytes() == before


def test_official_figures_stay_in_the_evaluation(root):
    results, boards = root.parents[1], root.parents[1] / "boards"
    assert main(["evaluate", "--official", "--results", str(results), "--leaderboards", str(boards)]) == 0
    cluster_all(local(root), QUICK)
    assert "official_auc" in json.loads((cell(root) / EVALUATION).read_text())["unknown"]["all"]["figures"]


def test_cells_whose_features_were_removed_are_named_and_left_alone(root, capsys):
    (cell(root) / FEATURES).unlink()
    assert cluster_all(local(root), QUICK) == 1
    assert "split1-seed0" in capsys.readouterr().err


@pytest.mark.slow
def test_side_by_side_gives_the_same_ids(root):
    cluster_all(local(root), QUICK, jobs=2)
    path = cell(root) / CLUSTERS / "all-k8-none-seed0-init2.npz"
    ids = read_arrays(path)["ids"]
    path.unlink()
    cluster_all(local(root), QUICK)
    assert (read_arrays(path)["ids"] == ids).all()


def test_a_run_clusters_only_where_a_discovery_cell_stands_beside(root):
    assert cluster_for_table(root, 1) == 6  # two numbers of groups, three seeds
    assert (cell(root) / CLUSTERS).is_dir()
    assert not (cell(root, split="split2") / CLUSTERS).exists()


def test_a_run_with_a_discovery_method_ends_with_its_table(registry, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "DataRequest", ToyRequest)
    words = ["--methods", "sorter,nearest", "--splits", "1", "--preset", "smoke", "--jobs", "1"]
    words += ["--results", str(tmp_path / "results"), "--leaderboards", str(tmp_path / "boards")]
    assert run_all.main(words) == 0
    out = capsys.readouterr().out
    assert "6 clusterings of stored features computed for the discovery table" in out
    rows = table(out, "Discovery: all test images")
    assert [(row["Method"], row["Number of groups"]) for row in rows] == [
        ("Sorter", "its own"), ("Nearest mean", "of Sorter"), ("Nearest mean", "of classes"),
    ]  # fmt: skip
    assert run_all.main(words) == 0
    assert "clusterings of stored features" not in capsys.readouterr().out


# -- the command -------------------------------------------------------------------------------------


def command(root, *words):
    results = root.parents[1]
    places = ["--results", str(results), "--leaderboards", str(results / "boards")]
    return main(["cluster", *places, "--n-init", "2", "--seeds", "0", *words])


def test_the_command_clusters_named_rows_and_writes_the_board(root, registry, capsys):
    assert command(root, "--methods", "nearest", "--k", "true,4", "--pool", "known+seed") == 0
    assert "4 clusterings computed now" in capsys.readouterr().out
    entries = {(e.key, e.record.cell.split): e for e in load_entries(root, LOCAL)}
    rows = entries["nearest", "split1"].evaluation.clusterings
    assert [(row.pool, row.k) for row in rows] == [("known+seed", 4), ("known+seed", 5)]
    page = (root.parents[1] / "boards" / f"toy-{root.name}" / "README.md").read_text()
    assert "## Discovery: known+seed test images" in page


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--k", "many"], "write true, found or a positive number"),
        (["--k", "0"], "write true, found or a positive number"),
        (["--n-init", "0"], "--n-init 0: write a positive number"),
        (["--k", ","], "--k ',' is empty"),
        (["--methods", "nobody"], "no finished cells of 'nobody'"),
        (["--methods", " "], "--methods ' ' is empty"),
        (["--seeds", "x"], "--seeds x"),
    ],
)
def test_a_mistake_is_one_line(root, registry, words, text):
    with refused(text):
        command(root, *words)


def test_groupings_are_submitted_with_their_cells(root, registry):
    results = root.parents[1]
    cluster_all(local(root), QUICK)
    places = ["--results", str(results), "--leaderboards", str(results / "boards")]
    assert main(["submit", *places]) == 0
    committed = results / "boards" / f"toy-{root.name}" / "cells"
    assert (committed / "nearest" / "split1-seed0" / CLUSTERS / "all-k8-none-seed0-init2.npz").is_file()
    assert (committed / "sorter" / "split1-seed0" / "groups.npz").is_file()
    assert main(["verify", *places]) == 0


def test_the_store_moves_groupings_with_their_cell(root):
    cluster_all(local(root), QUICK)
    record = read_record(cell(root))
    Store(root.parents[1]).set_aside(record.cell)
    assert not cell(root).exists()
    assert (root / "nearest" / "split1-seed0.old0" / CLUSTERS).is_dir()


def test_files_half_written_are_not_read(root):
    cluster_all(local(root), QUICK)
    before = evaluate_cell(cell(root), read_record(cell(root)).facts)
    (cell(root) / CLUSTERS / ".all-k9-none-seed0-init2.npz").write_bytes(b"half")
    assert evaluate_cell(cell(root), read_record(cell(root)).facts) == before
    assert not outdated(cell(root))
    assert CLUSTERS == "clusters"


def test_variants_are_clustered_on_request_only(root):
    shutil.copytree(cell(root), cell(root, "nearest@wide"))
    file = cell(root, "nearest@wide") / CELL
    record = json.loads(file.read_text())
    record["cell"]["variant"] = "wide"
    file.write_text(json.dumps(record))
    assert cluster_for_table(root, 1) == 6
    assert not (cell(root, "nearest@wide") / CLUSTERS).exists()
    assert cluster_all(local(root), QUICK) == 5  # two numbers of groups for either row on split1, one on split2
    assert (cell(root, "nearest@wide") / CLUSTERS).is_dir()
