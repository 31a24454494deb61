"""One row of images a class: the quickest way to see what a data set holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from datasets.types import Split

CELL_INCHES = 0.62


def draw(split: Split, path: Path, columns: int = 12, leave_out: frozenset[str] = frozenset()) -> Path:
    """A picture of one split: known classes, then unknown ones by group; a row a class.

    Args:
        split: what to show; test images.
        path: PNG to write.
        columns: images a class, evenly spread over its test images.
        leave_out: sources that must not be shown.
    """
    parts = {"known": split.test, **split.unknown}
    titles, images = [], []
    for part, content in parts.items():
        for label, name in enumerate(content.classes):
            members = np.flatnonzero(content.labels == label)
            if content.sources is not None:
                members = members[~np.isin(content.sources[members], sorted(leave_out))]
            if not len(members):
                continue
            chosen = members[np.linspace(0, len(members) - 1, columns).astype(np.int64)]
            images.append(np.concatenate(list(content.batch(chosen)), axis=1))
            titles.append(name if part == "known" else f"{name}  [{part}]")
    figure = Figure(figsize=(CELL_INCHES * columns + 3.4, CELL_INCHES * len(images)))
    axes = figure.add_axes((0.0, 0.0, CELL_INCHES * columns / (CELL_INCHES * columns + 3.4), 1.0))
    axes.imshow(np.concatenate(images), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    side = images[0].shape[0]
    for row, title in enumerate(titles):
        axes.annotate(
            title, (columns * side, (row + 0.5) * side), xytext=(6, 0), textcoords="offset points",
            va="center", annotation_clip=False, fontsize=8,
        )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    return path
