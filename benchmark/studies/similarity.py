"""How alike the views of a method are: cosines between the mean features of images as each view changes them.

For POSE a view is an augmentation model. The less alike the models are, the wider they spread; the
published matrices have off-diagonal means of about 0.80 with its diversity loss and 0.92 without (split 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from benchmark.boards.tables import markdown
from benchmark.cells.record import Record
from benchmark.cells.store import Store
from benchmark.running.fitting import MODEL, make_run
from datasets.core.partial import whole_file
from datasets.errors import UserError
from datasets.types import Dataset, ImageSet
from methods.core.device import make_deterministic
from methods.core.method import Method
from methods.core.network_method import NetworkMethod
from methods.core.registry import Registry
from methods.core.training import evaluating

LOWEST = 0.5  # of the published colour range
NORM_FLOOR = 1e-12


@dataclass(frozen=True)
class Similarity:
    """Cosines between views of one cell.

    Attributes:
        key, title: of the row; `split` and `seed` of the cell.
        views: names of the V views.
        cosines: (V, V) in [-1, 1].
    """

    key: str
    title: str
    split: str
    seed: int
    views: tuple[str, ...]
    cosines: NDArray[np.float64]

    @property
    def between(self) -> float:
        """Mean over all pairs of different views."""
        off = ~np.eye(len(self.cosines), dtype=bool)
        return float(self.cosines[off].mean())


def view_similarity(method: NetworkMethod, images: ImageSet) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Names of a method's views and the cosines between their mean features of the images."""
    names, means = [], []
    with evaluating(method.net):
        for name, batches in method.views(images).items():
            sums = [method.outputs(batch)[1].float().sum(dim=0).cpu().double().numpy() for batch in batches]
            names.append(name)
            means.append(np.sum(sums, axis=0) / len(images))
    rows = np.stack(means) if means else np.empty((0, 1))
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1), NORM_FLOOR)[:, None]
    return tuple(names), rows @ rows.T


@dataclass(frozen=True)
class Comparison:
    """What all cells of a comparison share.

    Attributes:
        dataset: that they were computed on.
        class_: the known class whose images are used; None: all.
        results: folder of the cells.
        device: name of the device to run on.
    """

    dataset: Dataset
    class_: str | None
    results: Path
    device: str
    registry: Registry

    def of(self, folder: Path, record: Record) -> Similarity | None:
        """The similarity of a cell's views on its known test images; None if its method has fewer than two views.

        Raises:
            UserError: the data are not those of the cell, or there is no such known class.
        """
        cell, plugin = record.cell, self.registry[record.cell.method]
        if not issubclass(plugin, NetworkMethod) or plugin.views is Method.views or not (folder / MODEL).is_dir():
            return None
        if self.dataset.fingerprint != cell.fingerprint:
            raise UserError(f"{folder} was computed on other data than --dataset, --data-root and --preset give now")
        test = self.dataset.split(cell.split).test
        make_deterministic(cell.run["threads"])
        method = plugin.load(folder / MODEL, make_run(cell, Store(self.results), self.registry, self.device))
        views, cosines = view_similarity(method, of_class(test, self.class_))
        title = f"{record.title} ({cell.variant})" if cell.variant else record.title
        return Similarity(cell.key, title, cell.split, cell.seed, views, cosines) if len(views) > 1 else None


def of_class(images: ImageSet, name: str | None) -> ImageSet:
    """The images of a class, by its name; None: all."""
    if name is None:
        return images
    if name not in images.classes:
        raise UserError(f"--class {name}: no such known class; there are {', '.join(images.classes)}")
    return images.take(images.labels == images.classes.index(name))


def similarity_table(found: list[Similarity]) -> str:
    """One row for every method: mean cosine between different views, mean ± deviation over cells."""
    frame = pd.DataFrame([{"title": s.title, "views": len(s.views), "between": s.between} for s in found])
    rows = [
        [title, _range(group["views"].tolist()), _spread(group["between"]), len(group)]
        for title, group in frame.groupby("title", sort=False)
    ]
    headers = ["Method", "Views", "Cosine between different views ↓", "Cells"]
    return markdown(rows, headers)


def _range(numbers: list[int]) -> str:
    return str(numbers[0]) if min(numbers) == max(numbers) else f"{min(numbers)}–{max(numbers)}"


def _spread(values: pd.Series[float]) -> str:
    mean = f"{values.mean():.3f}"
    return mean if len(values) < 2 else f"{mean} ± {values.std(ddof=1):.3f}"


def write_matrices(found: list[Similarity], folder: Path) -> Iterator[Path]:
    """One CSV file for every cell, and one picture of all matrices."""
    for similarity in found:
        path = folder / f"{similarity.key}-{similarity.split}-seed{similarity.seed}.csv"
        with whole_file(path) as unfinished:
            pd.DataFrame(similarity.cosines, index=similarity.views, columns=similarity.views).to_csv(unfinished)
        yield path
    yield draw(found, folder / "similarity.png")


def draw(found: list[Similarity], path: Path) -> Path:
    """The matrices side by side, on one colour range."""
    figure = Figure(figsize=(0.6 + 3.2 * len(found), 3.4), layout="constrained")
    lowest = min(LOWEST, *(float(similarity.cosines.min()) for similarity in found))
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    scale = ScalarMappable(Normalize(lowest, 1.0), "viridis")
    for axes, similarity in zip(panels, found, strict=True):
        axes.imshow(similarity.cosines, cmap=scale.cmap, norm=scale.norm)
        where = f"{similarity.split}, seed {similarity.seed}"
        axes.set_title(f"{similarity.title}\n{where}: {similarity.between:.3f}", fontsize="small")
        axes.set(xlabel="view", ylabel="view")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(scale, ax=list(panels), label="cosine of mean features")
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, dpi=130, format="png")
    return path
