"""Zones keep the roles apart, and crops stay in their zone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from datasets.mini.codes import encode
from datasets.mini.crops import cut, draw_boxes
from datasets.mini.photographs import CROP, PHOTOGRAPHS, ROLES, SMALLEST_ZONE, Zone, load_photograph, zones


def gap(a: Zone, b: Zone) -> int:
    """Pixels between two zones along the axis on which they are apart."""
    return max(b.left - a.right, a.left - b.right, b.top - a.bottom, a.top - b.bottom)


@pytest.mark.parametrize("content", PHOTOGRAPHS)
def test_zones_lie_one_crop_apart_inside_the_photograph(content: str) -> None:
    width, height = load_photograph(content).size
    cut_once = zones(width, height)
    for first, second in itertools.combinations(ROLES, 2):
        assert gap(cut_once[first], cut_once[second]) >= CROP
    for zone in cut_once.values():
        assert zone.left >= 0 and zone.top >= 0 and zone.right <= width and zone.bottom <= height
        assert zone.shorter_side >= SMALLEST_ZONE


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("content", ["chelsea", "grace_hopper", "retina"])
def test_crops_stay_inside_their_zone(content: str, role: str) -> None:
    zone = zones(*load_photograph(content).size)[role]  # type: ignore[index]
    left, top, side, mirrored = draw_boxes(content, role, "real", 500).T  # type: ignore[arg-type]
    assert left.min() >= zone.left and (left + side).max() <= zone.right
    assert top.min() >= zone.top and (top + side).max() <= zone.bottom
    assert side.min() >= CROP and side.max() <= 2 * CROP
    assert set(mirrored.tolist()) == {0, 1}


def test_a_longer_list_of_crops_starts_with_the_shorter_one() -> None:
    assert np.array_equal(draw_boxes("flower", "train", "code", 7), draw_boxes("flower", "train", "code", 90)[:7])


def test_streams_and_roles_draw_differently() -> None:
    boxes = [draw_boxes("flower", role, stream, 5) for role in ROLES for stream in ("code", "real")]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(boxes, 2))


def test_a_crop_of_its_own_size_is_a_copy_of_the_photograph() -> None:
    photograph = np.asarray(load_photograph("china"))
    plain, mirrored = cut("china", np.array([[30, 40, CROP, 0], [30, 40, CROP, 1]]))
    assert np.array_equal(plain, photograph[40 : 40 + CROP, 30 : 30 + CROP])
    assert np.array_equal(mirrored, plain[:, ::-1])


def test_a_code_is_the_lowest_block_coefficients_by_their_definition() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (1, CROP, CROP, 3)).astype(np.uint8)
    code = encode(crop)
    assert code.shape == (1, 27, 8, 8) and code.dtype == np.float32
    block = crop[0, 16:24, 40:48, 1] / 127.5 - 1  # block row 2, block column 5, green
    n = np.arange(8)
    for u in range(3):
        for v in range(3):
            waves = np.outer(np.cos(np.pi * u * (2 * n + 1) / 16), np.cos(np.pi * v * (2 * n + 1) / 16))
            norm = (np.sqrt(1 / 8) if u == 0 else 0.5) * (np.sqrt(1 / 8) if v == 0 else 0.5)
            scale = 1 / 8 if u == v == 0 else 1 / 2
            expected = scale * norm * (waves * block).sum()
            assert code[0, 9 + 3 * u + v, 2, 5] == pytest.approx(expected, abs=1e-5)
