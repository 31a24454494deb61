"""The picture of accuracy against AUC: every row can be told, however crowded it is."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Annotation

from benchmark.boards.figures import draw, far_off
from benchmark.boards.label_places import DISTANCES, places
from benchmark.boards.rows import cells_frame, summary
from tests.benchmark.rows import SPLITS, entry, figures

CROWD = {f"crowd{number}": (0.92 + 0.004 * (number % 4), 0.84 + 0.005 * (number // 4)) for number in range(13)}
FAR = {"far": (0.4, 0.55)}


def picture(rows, splits=SPLITS):
    noise = np.random.default_rng(0).normal(0, 0.02, (len(rows), len(splits), 2))
    entries = [
        entry(key, split, values=figures(accuracy + noise[row, column, 0], auc=auc + noise[row, column, 1]))
        for row, (key, (accuracy, auc)) in enumerate(rows.items())
        for column, split in enumerate(splits)
    ]
    return draw(summary(cells_frame(entries)), "toy-smoke")


def numbers(axes):
    return [child for child in axes.texts if isinstance(child, Annotation) and child.get_text().isdigit()]


@pytest.fixture(scope="module")
def fourteen():
    """Thirteen rows in a crowd and one far off."""
    return picture(CROWD | FAR)


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_row_has_one_number_and_the_legend_says_whose_it_is(fourteen):
    shown = sorted(int(text.get_text()) for axes in fourteen.axes for text in numbers(axes))
    assert shown == list(range(1, 15))
    told = dict(text.split() for text in legend(fourteen))
    assert list(told) == [str(number) for number in range(1, 15)]
    assert sorted(told.values()) == sorted(key.capitalize() for key in CROWD | FAR)
    assert told["14"] == "Far"


def test_a_number_stands_at_the_point_of_its_row():
    figure = picture({"low": (0.5, 0.6), "high": (0.9, 0.8)}, SPLITS[:1])
    (axes,) = figure.axes
    assert legend(figure) == ["1  High", "2  Low"]
    points = {text.get_text(): tuple(text.xy) for text in numbers(axes)}
    assert points["1"] == pytest.approx((90, 80), abs=10)
    assert points["2"] == pytest.approx((50, 60), abs=10)


def test_fourteen_numbers_of_crowded_rows_hide_neither_each_other_nor_leave_their_panel(fourteen):
    for axes in fourteen.axes:
        boxes = [text.get_window_extent() for text in numbers(axes)]
        assert not any(one.overlaps(two) for index, one in enumerate(boxes) for two in boxes[:index])
        frame = axes.get_window_extent()
        assert all(frame.containsx(box.x0) and frame.containsx(box.x1) for box in boxes)


def test_rows_far_off_are_shown_beside_an_enlarged_part_and_only_then(fourteen):
    assert [axes.get_title() for axes in fourteen.axes] == ["toy-smoke", "the framed part, enlarged"]
    assert len(picture(CROWD).axes) == 1
    assert len(picture({**dict(list(CROWD.items())[:3]), **FAR}).axes) == 1


def test_the_enlarged_part_holds_whole_bars_of_all_but_the_rows_far_off(fourteen):
    whole, part = fourteen.axes
    assert [text.get_text() for text in numbers(whole)] == ["14"]
    (left, right), (bottom, top) = part.get_xlim(), part.get_ylim()
    ends = [segment for bars in part.collections for segment in bars.get_segments()]
    inside = [((left < s[:, 0]) & (s[:, 0] < right) & (bottom < s[:, 1]) & (s[:, 1] < top)).all() for s in ends]
    assert sum(inside) == 2 * len(CROWD)


def test_rows_outside_the_outer_fences_of_tukey_are_far_off():
    # Quartiles of 1..8 are 2.75 and 6.25: outer fences at -7.75 and 16.75.
    figures_ = np.stack([np.arange(1.0, 9), np.full(8, 50.0)], axis=1)
    assert not far_off(figures_).any()
    figures_[7, 0] = 16
    assert not far_off(figures_).any()
    figures_[7, 0] = 17
    assert far_off(figures_).tolist() == [False] * 7 + [True]
    assert not far_off(figures_[1:]).any()


def test_a_lonely_label_stands_at_the_shortest_distance_beside_its_point():
    (place,) = places(np.array([[100.0, 100.0]]), (11, 9), np.array([[0, 0], [200, 200]]))
    assert np.hypot(*(place - 100)) == pytest.approx(DISTANCES[0])


def test_labels_of_equal_points_do_not_overlap():
    found = places(np.full((12, 2), 100.0), (11.0, 9.0), np.array([[0.0, 0], [200, 200]]))
    gaps = np.abs(found[:, None] - found[None]) / np.array([11.0, 9.0])
    apart = gaps.max(axis=2)[~np.eye(12, dtype=bool)]
    assert apart.min() >= 1


def test_a_label_keeps_within_the_area():
    corner = places(np.array([[199.0, 199.0]]), (11.0, 9.0), np.array([[0.0, 0], [200, 200]]))
    assert (corner <= 200 - np.array([5.5, 4.5])).all()
