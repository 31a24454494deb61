"""Which classes were JPEG files once: differences of neighbours with a period of eight pixels.

One image says little, since its content may have edges anywhere; in the mean over a class content cancels out and the
borders of JPEG's blocks stay. A class whose images were cropped after JPEG has them at another phase, and is found as
long as its images share that phase. A generator may have a period of its own; for real images there is no other source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.checks.container import Container
from datasets.checks.findings import Finding
from datasets.files.listing import Listing
from datasets.splits import REAL

FEWEST = 20  # images of a class of which something can be said
STRONG = 0.02  # mean excess that is worth a word
SURE = 6  # standard errors; luck brings one of the 16 phases of 20 images there once in 10,000 classes
REMEDY = "re-encode all classes alike: save every image as JPEG of one quality, then all in one format"


class Grid(NamedTuple):
    """The strongest phase of a class.

    Attributes:
        excess: how much more neighbours differ there than half a block further.
        errors: that excess in standard errors.
        images: that were looked at.
    """

    excess: float
    errors: float
    images: int

    @property
    def is_there(self) -> bool:
        return self.images >= FEWEST and self.excess > STRONG and self.errors > SURE


def grids(listings: Iterable[Listing], containers: Mapping[str, Container]) -> dict[str, Grid]:
    """The grid of each class, from those of its images that are no JPEG files now."""
    of_class: dict[str, list[tuple[float, ...]]] = {}
    for listing in listings:
        for name, label in zip(listing.names, listing.labels.tolist(), strict=True):
            container = containers[name]
            if container.phases and not container.jpeg:
                of_class.setdefault(listing.classes[label], []).append(container.phases)
    return {name: _strongest(np.array(rows)) for name, rows in of_class.items()}


def _strongest(phases: NDArray[np.float64]) -> Grid:
    """Of (N, 16) logarithms of ratios, whose mean is zero where there is no grid."""
    if len(phases) < 2:
        return Grid(0.0, 0.0, len(phases))
    means, spread = phases.mean(axis=0), phases.std(axis=0, ddof=1) / np.sqrt(len(phases))
    errors = means / np.maximum(spread, np.finfo(np.float64).tiny)
    best = int(np.argmax(np.where(means > STRONG, errors, -np.inf))) if (means > STRONG).any() else int(means.argmax())
    return Grid(float(np.expm1(means[best])), float(errors[best]), len(phases))


def grid_findings(split: str, found: Mapping[str, Grid]) -> Iterator[Finding]:
    """Compare the real class with the generated ones."""
    with_grid = sorted(name for name, grid in found.items() if grid.is_there and name != REAL)
    others = [name for name in found if name != REAL]
    said = f"{len(with_grid)} of {len(others)} generated classes"
    if REAL in found and found[REAL].is_there and len(with_grid) < len(others):
        grid = found[REAL]
        text = f"real images that are no JPEG files now once were: neighbours differ by {grid.excess:.0%} more across"
        yield Finding("JPEG grid", split, "warning", f"{text} borders of 8 x 8 blocks; so do {said}; {REMEDY}")
    elif with_grid and not (REAL in found and found[REAL].is_there):
        text = f"{said} have a period of eight pixels, such as {with_grid[0]}, and real images have not"
        yield Finding("JPEG grid", split, "note", f"{text}: a trace of the generator, or of JPEG; if of JPEG, {REMEDY}")
    else:
        yield Finding(
            "JPEG grid", split, "ok", "pixels of files that are no JPEG tell of none, or those of all classes do"
        )
