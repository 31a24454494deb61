"""k-means on the stored features of cells; group ids are kept beside them, so that figures follow without it."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.cells.store import read_arrays, write_arrays
from benchmark.evaluation.pools import ALL, agreement, in_pool, pool_order, true_classes
from benchmark.evaluation.predictions import Predictions
from benchmark.metrics.clustering import Normalisation, cluster
from datasets.errors import UserError

FEATURES, FOLDER = "features.npz", "clusters"
TRUE, FOUND = "true", "found"  # number of classes in the pool, and of groups that a discovery method found there


@dataclass(frozen=True)
class Wish:
    """How the features of a cell are to be clustered.

    Attributes:
        k: number of groups asked for.
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


def missing(cell: Path, wishes: Iterable[Wish]) -> list[Wish]:
    """What has not been computed yet from the features that the cell holds now."""
    digest = _digest(cell / FEATURES)
    return [wish for wish in wishes if not _is_kept(cell / FOLDER / wish.file, digest)]


def compute(tasks: Sequence[tuple[Path, Wish]], jobs: int = 1) -> Iterator[Path]:
    """Cluster and keep, side by side, one thread each; yields the cell of each task as it ends."""
    pool = Parallel(min(jobs, max(1, len(tasks))), return_as="generator_unordered", batch_size=1)
    yield from pool(delayed(cluster_cell)(cell, wish) for cell, wish in tasks)


def cluster_cell(cell: Path, wish: Wish) -> Path:
    """Cluster one cell's features and keep the ids.

    Raises:
        UserError: the features were removed, or their training statistics were never stored.
    """
    if not (cell / FEATURES).is_file():
        raise UserError(f"{cell} has lost its {FEATURES}; delete the folder to compute the cell again")
    stored, started = read_arrays(cell / FEATURES), time.perf_counter()
    training = _training_statistics(cell, wish, stored)
    rows = np.flatnonzero(in_pool(Predictions.load(cell).part, wish.pool))
    order = pool_order(len(rows))
    with threadpool_limits(1):
        features = stored["features"][rows[order]]
        found = cluster(features, wish.k, wish.seed, wish.n_init, wish.normalisation, **training)
    ids = np.empty(len(rows), dtype=np.int32)
    ids[order] = found.ids
    facts = {
        "k": wish.k, "effective_k": found.effective_k, "inertia": found.inertia, "iterations": found.iterations,
        "seed": wish.seed, "n_init": wish.n_init, "normalisation": wish.normalisation, "pool": wish.pool,
        "seconds": round(time.perf_counter() - started, 3), "dtype": "float64", "made_with": versions(),
        "features": _digest(cell / FEATURES),
    }  # fmt: skip
    (cell / FOLDER).mkdir(exist_ok=True)
    beside = cell / FOLDER / f".{wish.file}"  # numpy appends .npz to any other ending
    write_arrays(beside, {"ids": ids, **{name: np.asarray(value) for name, value in facts.items()}})
    beside.replace(cell / FOLDER / wish.file)
    return cell


def _training_statistics(cell: Path, wish: Wish, stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    if wish.normalisation != "standardize":
        return {}
    if "train_mean" not in stored:
        raise UserError(f"{cell} lacks the mean of its training features; compute it again (run_all.py --force)")
    return {"training_mean": stored["train_mean"], "training_std": stored["train_std"]}


def versions() -> str:
    """What k-means was computed with; other versions may group otherwise."""
    packages = {"scikit-learn": sklearn, "scipy": scipy, "numpy": np}
    named = [f"{name} {package.__version__}" for name, package in packages.items()]
    return ", ".join([*named, f"Python {platform.python_version()}"])


def _digest(path: Path) -> str:
    """SHA-256 of a file; "" if it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _is_kept(path: Path, digest: str) -> bool:
    return path.is_file() and str(read_arrays(path)["features"]) == digest


def evaluate_clusterings(cell: Path) -> dict[str, Any]:
    """Figures of all groupings that are kept beside a cell; nothing where there are none."""
    files = sorted(path for path in (cell / FOLDER).glob("*.npz") if not path.name.startswith("."))
    if not files:
        return {}
    predictions = Predictions.load(cell)
    truth = true_classes(predictions.part, predictions.label)
    return {"clusterings": [_figures(read_arrays(path), predictions, truth) for path in files]}


_FACTS = (
    "pool", "normalisation", "k", "effective_k", "seed", "n_init", "inertia", "iterations", "seconds", "made_with",
)  # fmt: skip


def _figures(kept: Mapping[str, NDArray[Any]], predictions: Predictions, truth: NDArray[np.int64]) -> dict[str, Any]:
    facts = {name: kept[name].item() for name in _FACTS}
    inside = in_pool(predictions.part, facts["pool"])
    return {"by": "k-means", "of": "all", **facts, **agreement(truth[inside], kept["ids"].astype(np.int64))}
