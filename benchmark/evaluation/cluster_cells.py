"""k-means on the stored features of cells; cluster ids are kept with them, so that figures follow without it."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.cells.arrays import read_arrays
from benchmark.cells.digests import sha256
from benchmark.cells.files import CLUSTERS, Arrays, write_arrays
from benchmark.evaluation.figures import KMeansClusters
from benchmark.evaluation.parts import ALL, POOLS, in_pool, pool_order, true_classes
from benchmark.evaluation.predictions import Predictions
from benchmark.metrics.clustering import Normalisation, cluster, cluster_figures
from datasets.errors import UserError

FEATURES = "features.npz"


@dataclass(frozen=True)
class KMeansRequest:
    """How the features of a cell are to be clustered.

    Attributes:
        k: number of clusters asked for.
        pool: which test images, a key of `POOLS`.
        normalisation: of the features; the same for all methods that are compared.
        seed, n_init: of k-means.
    """

    k: int
    pool: str = ALL
    normalisation: Normalisation = "none"
    seed: int = 0
    n_init: int = 10

    @property
    def file(self) -> str:
        return f"{self.pool}-k{self.k}-{self.normalisation}-seed{self.seed}-init{self.n_init}.npz"


def statistics(features: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Mean and deviation (ddof 0) of every training feature, which `standardize` needs later."""
    values = features.astype(np.float64)
    return {"train_mean": values.mean(axis=0), "train_std": values.std(axis=0)}


def missing(cell: Path, requests: Iterable[KMeansRequest]) -> list[KMeansRequest]:
    """What has not been computed yet from the features that the cell holds now."""
    digest = _digest(cell / FEATURES)
    return [request for request in requests if not _is_kept(cell / CLUSTERS / request.file, digest)]


def compute(tasks: Sequence[tuple[Path, KMeansRequest]], jobs: int = 1) -> Iterator[Path]:
    """Cluster and keep, side by side, one thread each; yields the cell of each task as it ends."""
    from joblib import Parallel, delayed

    pool = Parallel(min(jobs, max(1, len(tasks))), return_as="generator_unordered", batch_size=1)
    yield from pool(delayed(cluster_cell)(cell, request) for cell, request in tasks)


def cluster_cell(cell: Path, request: KMeansRequest) -> Path:
    """Cluster one cell's features and keep the ids.

    Raises:
        UserError: the features were removed, or their training statistics were never stored.
    """
    if not (cell / FEATURES).is_file():
        raise UserError(f"{cell} has lost its {FEATURES}; delete the folder to compute the cell again")
    stored, started = read_arrays(cell / FEATURES), time.perf_counter()
    training = _training_statistics(cell, request, stored)
    rows = np.flatnonzero(in_pool(Predictions.load(cell).part, request.pool))
    order = pool_order(len(rows))
    with threadpool_limits(1):
        features = stored["features"][rows[order]]
        found = cluster(features, request.k, request.seed, request.n_init, request.normalisation, **training)
    ids = np.empty(len(rows), dtype=np.int32)
    ids[order] = found.ids
    facts = {
        "k": request.k, "effective_k": found.effective_k, "inertia": found.inertia, "iterations": found.iterations,
        "seed": request.seed, "n_init": request.n_init, "normalisation": request.normalisation, "pool": request.pool,
        "seconds": round(time.perf_counter() - started, 3), "dtype": "float64", "made_with": versions(),
        "features": _digest(cell / FEATURES),
    }  # fmt: skip
    kept = {"ids": ids, **{name: np.asarray(value) for name, value in facts.items()}}
    write_arrays(cell / CLUSTERS / request.file, kept)
    return cell


def _training_statistics(cell: Path, request: KMeansRequest, stored: Arrays) -> dict[str, NDArray[Any]]:
    if request.normalisation != "standardize":
        return {}
    if "train_mean" not in stored:
        raise UserError(f"{cell} lacks the mean of its training features; compute it again (run_all.py --force)")
    return {"training_mean": stored["train_mean"], "training_std": stored["train_std"]}


def versions() -> str:
    """What k-means was computed with; other versions may cluster otherwise."""
    named = [f"{package} {version(package)}" for package in ("scikit-learn", "scipy", "numpy")]
    return ", ".join([*named, f"Python {platform.python_version()}"])


def _digest(path: Path) -> str:
    """SHA-256 of a file; "" if it is not there."""
    return sha256(path) if path.is_file() else ""


def _is_kept(path: Path, digest: str) -> bool:
    return path.is_file() and str(_kept(path)["features"]) == digest


def number_formed(cell: Path, request: KMeansRequest) -> int:
    """How many clusters a kept clustering has."""
    return int(_kept(cell / CLUSTERS / request.file)["effective_k"])


def kept_clusterings(cell: Path) -> list[Path]:
    """Files of all clusterings that a cell keeps."""
    return sorted(path for path in (cell / CLUSTERS).glob("*.npz") if not path.name.startswith("."))


def evaluate_clusterings(cell: Path, predictions: Predictions) -> tuple[KMeansClusters, ...]:
    """Figures of all clusterings that a cell keeps."""
    truth = true_classes(predictions.part, predictions.label)
    return tuple(_figures(path, predictions, truth) for path in kept_clusterings(cell))


_FACTS = ("normalisation", "k", "effective_k", "seed", "n_init", "inertia", "iterations", "seconds", "made_with")
_KEPT = {*_FACTS, "ids", "pool", "features", "dtype"}


def _kept(path: Path) -> Arrays:
    """What `cluster_cell` wrote.

    Raises:
        UserError: the file is damaged, or its name is not that of what it holds.
    """
    kept = read_arrays(path)
    if set(kept) != _KEPT:
        raise _damaged(path, f"it lacks or adds {min(_KEPT.symmetric_difference(kept))}")
    if any(kept[name].size != 1 for name in _KEPT - {"ids"}) or kept["ids"].ndim != 1 or kept["ids"].dtype.kind != "i":
        raise _damaged(path, "an entry has another shape or type")
    facts = {name: kept[name].item() for name in ("k", "pool", "normalisation", "seed", "n_init")}
    if facts["pool"] not in POOLS or KMeansRequest(**facts).file != path.name:
        raise _damaged(path, "its name is not that of what it holds")
    return kept


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}); delete it and cluster again (python -m benchmark cluster)")


def _figures(path: Path, predictions: Predictions, truth: NDArray[np.int64]) -> KMeansClusters:
    kept = _kept(path)
    pool, ids = str(kept["pool"]), kept["ids"].astype(np.int64)
    inside = in_pool(predictions.part, pool)
    formed = np.unique(ids)
    if len(ids) != inside.sum() or not np.array_equal(formed, np.arange(kept["effective_k"].item())):
        raise _damaged(path, f"{len(ids)} images in {len(formed)} clusters are not what it says, or not this pool")
    found = cluster_figures(truth[inside], ids)
    facts = {name: kept[name].item() for name in _FACTS}
    return KMeansClusters(pool, found.images, found.classes, found.clusters, found.figures, **facts)
