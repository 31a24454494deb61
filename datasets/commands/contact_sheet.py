"""One row of images per class: the quickest way to see what a data set holds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from datasets.core.partial import whole_file
from datasets.types import ImageSet, Pixels, Split

PANELS = 2  # side by side, so that many classes still make a picture of readable shape
CELL_INCHES, TITLE_INCHES = 0.4, 3.3


class Row(NamedTuple):
    """A class as it is shown."""

    title: str
    strip: Pixels  # (S, columns x S, 3)


def draw(split: Split, path: Path, columns: int = 9, leave_out: frozenset[str] = frozenset()) -> Path:
    """A picture of one split: known classes, then those of the unknown groups; one row per class.

    Args:
        split: what to show; test images.
        path: PNG to write.
        columns: images per class, evenly spread over its test images.
        leave_out: sources that must not be shown.
    """
    rows = rows_of("", split.test, columns, leave_out)
    for group, images in split.unknown.items():
        rows += rows_of(f"unseen {group}: ", images, columns, leave_out)
    height = -(-len(rows) // PANELS)
    panel_inches = CELL_INCHES * columns + TITLE_INCHES
    figure = Figure(figsize=(PANELS * panel_inches, CELL_INCHES * height))
    for panel in range(PANELS):
        shown = rows[panel * height : (panel + 1) * height]
        if not shown:
            continue
        width, share = CELL_INCHES * columns / (PANELS * panel_inches), len(shown) / height
        axes = figure.add_axes((panel / PANELS, 1 - share, width, share))
        axes.imshow(np.concatenate([row.strip for row in shown]), interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        side = len(shown[0].strip)
        for position, row in enumerate(shown):
            place = (columns * side, (position + 0.5) * side)
            axes.annotate(row.title, place, (6, 0), textcoords="offset points", va="center", fontsize=7.5)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, dpi=100, format=path.suffix.removeprefix(".") or "png")
    return path


def rows_of(prefix: str, images: ImageSet, columns: int, leave_out: frozenset[str]) -> list[Row]:
    """A row for every class that has images to show."""
    rows = []
    for label, name in enumerate(images.classes):
        members = np.flatnonzero(images.labels == label)
        if images.sources is not None:
            members = members[~np.isin(images.sources[members], sorted(leave_out))]
        if len(members):
            chosen = members[np.linspace(0, len(members) - 1, columns).astype(np.int64)]
            rows.append(Row(prefix + name, np.concatenate([*images.batch(chosen)], axis=1)))
    return rows
