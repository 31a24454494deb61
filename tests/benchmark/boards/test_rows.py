"""From cells to the rows of a board."""

from __future__ import annotations

import math

import pytest

from benchmark.boards.rows import (
    COMMITTED,
    LOCAL,
    cells_frame,
    comparable,
    confidences_frame,
    load_entries,
    merge,
    summary,
)
from benchmark.cells.files import EVALUATION
from benchmark.cells.record import read_record
from benchmark.evaluation.cell import evaluation_of
from benchmark.evaluation.figures import Curve
from benchmark.evaluation.predictions import Predictions
from tests.benchmark.rows import curves, entry, figures, row_cell, store_row
from tests.benchmark.toy import refused


def line_of(entries, key="nearest"):
    return summary(cells_frame(entries)).loc[key]


# -- figures -----------------------------------------------------------------------------------------


def test_seeds_are_averaged_within_a_split_before_splits_are():
    line = line_of(
        [
            entry(split="split1", seed=0, values=figures(0.8)),
            entry(split="split1", seed=1, values=figures(0.9)),
            entry(split="split2", seed=0, values=figures(0.75)),
        ]
    )
    assert line["accuracy_mean"] == pytest.approx((0.85 + 0.75) / 2)
    assert line["accuracy_sd_splits"] == pytest.approx(math.sqrt(2 * 0.05**2 / (2 - 1)))
    assert line["accuracy_sd_seeds"] == pytest.approx(math.sqrt(2 * 0.05**2 / (2 - 1)))
    assert (line["splits"], line["seeds"]) == (2, 2)


def test_one_split_has_no_deviation():
    line = line_of([entry(values=figures(0.8))])
    assert line["accuracy_mean"] == pytest.approx(0.8)
    assert math.isnan(line["accuracy_sd_splits"])
    assert math.isnan(line["accuracy_sd_seeds"])


def test_a_figure_that_a_split_lacks_is_left_out_of_the_mean():
    without = figures(0.8, unknown={**curves(0.5), "dataset": Curve(0)})
    line = line_of([entry(values=without), entry(split="split2", values=figures(0.6, auc=0.7))])
    assert line["auc_unseen_dataset_mean"] == pytest.approx(0.7)
    assert line["auc_unseen_seed_mean"] == pytest.approx((0.5 + 0.7) / 2)


def test_failed_and_skipped_cells_are_counted_and_have_no_figures():
    line = line_of(
        [
            entry(values=figures(0.8)),
            entry(split="split2", status="failed", reason="why"),
            entry(split="split3", status="failed", reason="why"),
            entry(split="split4", status="skipped", reason="why"),
        ]
    )
    assert (line["splits"], line["failed"], line["skipped"]) == (1, 2, 1)
    assert line["accuracy_mean"] == pytest.approx(0.8)


def test_a_row_of_failures_alone_still_has_a_line():
    line = line_of([entry(status="failed"), entry(split="split2", status="skipped")])
    assert (line["splits"], line["failed"], line["skipped"]) == (0, 1, 1)
    assert math.isnan(line["accuracy_mean"])


def test_other_confidences_make_lines_of_their_own():
    values = figures(0.8, variants={"margin": curves(0.25)})
    frame = confidences_frame([entry("nearest@x", values=values), entry(split="split2", status="failed")])
    assert frame[["method", "title"]].to_numpy().tolist() == [["nearest@x/margin", "Nearest (x): margin"]]
    assert frame["auc_unseen_all"].tolist() == [0.25]
    assert frame["accuracy"].tolist() == [0.8]


# -- which cells count -------------------------------------------------------------------------------


def told(entries):
    return [(e.key, e.record.cell.split, e.origin) for e in entries]


def test_local_cells_replace_a_committed_row_as_a_whole():
    committed = [entry(split=s, origin=COMMITTED) for s in ("split1", "split2")] + [entry("other", origin=COMMITTED)]
    local = [entry(split="split1")]
    assert told(merge(committed, local)) == [("other", "split1", COMMITTED), ("nearest", "split1", LOCAL)]


def test_local_cells_on_other_data_or_under_other_rules_replace_nothing():
    committed = [entry(origin=COMMITTED)]
    for fields in ({"fingerprint": "other"}, {"protocol": 2}):
        assert len(merge(committed, [entry(fields=fields)])) == 2


def test_a_row_holds_cells_of_its_latest_settings_only():
    old = entry(split="split1", finished="2026-01-01", fields={"config": {"rate": 1}})
    new = entry(split="split2", finished="2026-01-02", fields={"config": {"rate": 2}})
    other = entry("other", finished="2026-01-01", fields={"config": {"rate": 1}})
    assert comparable([old, new, other]) == [new, other]
    assert comparable([new, old]) == [new]


def test_versions_of_a_method_are_not_mixed_but_harmless_run_settings_are():
    old = entry(split="split1", finished="2026-01-01", fields={"run": {"inference_batch": 1}})
    new = entry(split="split2", finished="2026-01-02", fields={"run": {"inference_batch": 2}})
    assert comparable([old, new]) == [old, new]
    newer = entry(split="split3", finished="2026-01-03", fields={"version": 2})
    assert comparable([old, new, newer]) == [newer]


def test_a_split_outside_the_average_belongs_to_no_board():
    assert comparable([entry(), entry(split="calibration")]) == [entry()]


def test_while_nothing_is_finished_every_split_is_shown():
    failed = [entry(status="failed"), entry(split="calibration", status="failed")]
    assert comparable(failed) == failed


# -- figures from disk -------------------------------------------------------------------------------


def load(folder):
    record = read_record(folder)
    assert record is not None
    return evaluation_of(folder, record)


def test_stored_figures_are_taken_as_they_are(tmp_path):
    folder = store_row(tmp_path, row_cell(), figures(0.123))
    assert load(folder).closed_set.figures["accuracy"] == 0.123


@pytest.mark.parametrize("damage", [None, "{", "[]", "{}", '{"schema": 2, "metric_version": 0}', '{"schema": 3}'])
def test_figures_that_are_missing_damaged_or_of_other_definitions_are_computed_afresh(tmp_path, damage):
    folder = store_row(tmp_path, row_cell())
    if damage is not None:
        (folder / EVALUATION).write_text(damage)
    before = sorted(path.name for path in folder.iterdir())
    assert load(folder).closed_set.figures["accuracy"] == 1.0
    assert load(folder).unknown["all"].figures["auc"] == 1.0
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_cell_without_figures_and_predictions_is_one_clear_line(tmp_path):
    folder = store_row(tmp_path, row_cell())
    (folder / Predictions.FILE).unlink()
    with refused(f"{folder} has lost its predictions.npz or groups.npz; delete the folder to compute the cell again"):
        load(folder)


def test_entries_are_read_with_their_origin_and_in_a_stable_order(tmp_path):
    for key, split in (("b", "split2"), ("a", "split1"), ("b", "split1")):
        store_row(tmp_path, row_cell(key, split), figures(0.5))
    store_row(tmp_path, row_cell("a", "split2"), status="failed", reason="why")
    entries = load_entries(tmp_path / "toy" / "smoke", COMMITTED)
    assert [(e.key, e.record.cell.split) for e in entries] == [
        ("a", "split1"), ("a", "split2"), ("b", "split1"), ("b", "split2"),
    ]  # fmt: skip
    assert [e.evaluation is None for e in entries] == [False, True, False, False]
    assert {e.origin for e in entries} == {COMMITTED}
