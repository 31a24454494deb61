"""A grid that JPEG left is found whatever the format is now, and noise has none."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from datasets.checks.confounds.jpeg_grid import Grid, grid_findings, grids
from datasets.checks.container import Container, phase_excess
from datasets.files.listing import Listing

SIDE = 64


def noise(seed: int) -> NDArray[np.float64]:
    """A soft picture: noise at two scales, alike everywhere."""
    rng = np.random.default_rng(seed)
    fine, coarse = rng.normal(0, 6, (SIDE, SIDE)), rng.normal(0, 30, (SIDE, SIDE))
    return (128 + fine + gaussian_filter(coarse, 2, mode="wrap")).clip(0, 255)


def through_jpeg(grey: NDArray[np.float64], quality: int = 50) -> NDArray[np.float64]:
    file = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.asarray(image, dtype=np.float64)


def container(grey: NDArray[np.float64], jpeg: tuple[int, ...] = ()) -> Container:
    return Container(".png", "PNG", SIDE, SIDE, "RGB", jpeg, 0.0, phase_excess(grey))


def found(once: int, shift: int = 0, jpeg: tuple[int, ...] = ()) -> dict[str, Grid]:
    """Grids of two classes of 30 images, of which the first `once` classes were JPEGs."""
    containers = {}
    for label in range(2):
        for index in range(30):
            grey = noise(100 * label + index)
            grey = through_jpeg(grey)[:, shift:] if label < once else grey
            containers[f"{label}/{index}"] = container(grey, jpeg)
    names = list(containers)
    labels = np.array([int(name[0]) for name in names], dtype=np.int64)
    return grids([Listing(names, labels, ("real", "a"), names)], containers)


def test_the_excess_of_a_phase_is_a_logarithm_of_two_means() -> None:
    # Columns rise by 1, but by 3 from column 7 to 8, 15 to 16, ...; rows rise by 1 throughout.
    steps = np.where(np.arange(SIDE - 1) % 8 == 7, 3.0, 1.0)
    columns = np.concatenate([[0.0], np.cumsum(steps)])
    excess = phase_excess(np.add.outer(np.arange(SIDE, dtype=float), columns))
    expected = [0.0] * 16
    expected[7], expected[3] = math.log(3), -math.log(3)
    assert excess == pytest.approx(expected)


@pytest.mark.parametrize("grey", [np.ones((64, 64)), np.ones((15, 64)), np.empty((0, 0))])
def test_images_without_contrast_or_blocks_say_nothing(grey: NDArray[np.float64]) -> None:
    assert phase_excess(grey) == ()


def test_images_without_a_past_have_no_grid() -> None:
    assert [grid.is_there for grid in found(once=0).values()] == [False, False]
    (finding,) = grid_findings("split1", found(once=0))
    assert finding.status == "ok"


@pytest.mark.parametrize("shift", [0, 3])  # a crop after JPEG moves the grid
def test_real_images_that_were_jpegs_are_found(shift: int) -> None:
    looked = found(once=1, shift=shift)
    assert looked["real"].is_there and looked["real"].images == 30 and not looked["a"].is_there
    (finding,) = grid_findings("split1", looked)
    assert (finding.check, finding.status) == ("JPEG grid", "warning")
    assert "so do 0 of 1 generated classes; re-encode all classes alike" in finding.message


def test_a_past_that_all_classes_share_is_no_confound() -> None:
    looked = found(once=2)
    assert all(grid.is_there for grid in looked.values())
    (finding,) = grid_findings("split1", looked)
    assert finding.status == "ok"


def test_a_period_of_generated_images_alone_is_worth_knowing() -> None:
    (finding,) = grid_findings("split1", {"real": Grid(0.0, 0.1, 30), "a": Grid(0.2, 20.0, 30)})
    assert finding.status == "note" and "a trace of the generator, or of JPEG" in finding.message


def test_files_that_are_jpeg_now_are_left_to_the_formats() -> None:
    assert found(once=2, jpeg=(1, 1, 2, 0)) == {}


@pytest.mark.parametrize(
    ("grid", "there"),
    [(Grid(0.2, 20, 20), True), (Grid(0.2, 20, 19), False), (Grid(0.02, 20, 20), False), (Grid(0.2, 6, 20), False)],
)
def test_few_images_weak_grids_and_luck_are_none(grid: Grid, there: bool) -> None:
    assert grid.is_there is there
