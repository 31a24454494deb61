"""Boards as pages and files."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from benchmark.boards.leaderboard import Board, build_board, render, write_board
from benchmark.boards.published import PublishedRow, published_tables
from benchmark.boards.rows import COMMITTED
from benchmark.cells.record import Cost
from benchmark.evaluation.figures import Decisions, RealImages
from tests.benchmark.rows import DATA, SPLITS, curves, entry, figures, row_cell, store_row
from tests.benchmark.toy import refused


def table(page, heading):
    """A section's table as a list of dicts."""
    body = page.split(f"## {heading}\n\n", 1)[1].split("\n\n", 1)[0]
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


def full_row(key, accuracy=0.5, oscr=0.5, **options):
    return [entry(key, split, values=figures(accuracy, oscr=oscr), **options) for split in SPLITS]


def published_by_data(published):
    """Published rows as they are read from the file."""
    return {
        data: {table: [PublishedRow.model_validate(row) for row in rows] for table, rows in tables.items()}
        for data, tables in (published or {}).items()
    }


def page_of(registry, entries, published=None):
    return render(Board("toy-smoke", entries), registry.ablations, published_by_data(published))


# -- one table ---------------------------------------------------------------------------------------


def test_a_cell_is_the_mean_with_its_deviation_over_splits_in_per_cent(registry):
    entries = [entry(split=f"split{n}", values=figures(a)) for n, a in ((1, 0.7), (2, 0.8), (3, 0.9))]
    (row,) = table(page_of(registry, entries), "Open-set recognition")
    assert row["Accuracy ↑"] == "**80.00** ± 10.00"
    assert row["Unseen all AUC ↑"] == "**50.00** ± 0.00"
    assert (row["Method"], row["Splits"], row["From"]) == ("Nearest", "3 of 5", "this machine")


def test_rows_run_from_worst_to_best_by_oscr_on_all_and_those_without_figures_come_last(registry):
    failed = [entry("failed", split, status="failed") for split in SPLITS]
    entries = [*full_row("best", oscr=0.9), *failed, *full_row("worst", oscr=0.1), *full_row("middle", oscr=0.5)]
    rows = table(page_of(registry, entries), "Open-set recognition")
    assert [row["Method"] for row in rows] == ["Worst", "Middle", "Best", "Failed"]
    assert rows[-1]["Accuracy ↑"] == "n/a"
    assert rows[-1]["Splits"] == "0 of 5 (5 failed)"


def test_a_row_says_how_many_splits_it_has_and_what_became_of_the_others(registry):
    entries = [
        *full_row("whole"),
        entry("part", "split1"),
        entry("part", "split2", status="failed"),
        entry("part", "split3", status="skipped"),
        entry("part", "split4", status="skipped"),
    ]
    rows = {row["Method"]: row["Splits"] for row in table(page_of(registry, entries), "Open-set recognition")}
    assert rows == {"Whole": "5", "Part": "1 of 5 (1 failed, 2 skipped)"}


def test_the_best_mean_is_bold_ties_included_and_incomplete_rows_do_not_compete(registry):
    entries = [*full_row("one", 0.8), *full_row("two", 0.8), *full_row("three", 0.7), entry("lucky", values=figures(1))]
    rows = {row["Method"]: row["Accuracy ↑"] for row in table(page_of(registry, entries), "Open-set recognition")}
    assert {name: "**" in value for name, value in rows.items()} == {
        "One": True, "Two": True, "Three": False, "Lucky": False,
    }  # fmt: skip


def test_variants_are_rows_of_their_own(registry):
    entries = [*full_row("one"), *full_row("one@ce")]
    names = [row["Method"] for row in table(page_of(registry, entries), "Open-set recognition")]
    assert sorted(names) == ["One", "One (ce)"]


def test_a_method_stands_in_the_table_of_its_kind_or_in_those_that_it_names(registry):
    entries = [
        *full_row("a", kind="attribution"),
        *full_row("o"),
        *full_row("both", tables=("attribution", "open-set")),
        *full_row("own", tables=("fingerprints",)),
        *full_row("d", kind="discovery", status="failed"),
    ]
    page = page_of(registry, entries)
    assert {row["Method"] for row in table(page, "Attribution")} == {"A", "Both"}
    assert {row["Method"] for row in table(page, "Open-set recognition")} == {"O", "Both"}
    assert {row["Method"] for row in table(page, "Fingerprints")} == {"Own"}


def test_a_board_of_failures_alone_can_be_shown(registry):
    page = page_of(registry, [entry(status="failed"), entry(split="split2", status="skipped")])
    (row,) = table(page, "Open-set recognition")
    assert (row["Accuracy ↑"], row["Splits"]) == ("n/a", "0 of 2 (1 failed, 1 skipped)")


def test_hard_decisions_real_images_cost_and_seeds_are_shown(registry):
    values = figures(0.9, decisions=Decisions(0.3, 0.95, {"seed": 0.1, "all": 0.2}, 0.6), real=RealImages(seen=0.8))
    cost = Cost(parameters=1234567, train_seconds=61.4, images_per_second=250.0)
    entries = [
        entry(seed=0, values=replace(values, unknown=curves(0.5)), cost=cost),
        entry(seed=1, values=replace(values, unknown=curves(0.6)), cost=cost),
    ]
    page = page_of(registry, entries)
    (hard,) = table(page, "Known or unknown at the threshold that accepts 95 % of validation images")
    assert list(hard.values()) == ["Nearest", "95.00", "10.00", "n/a", "n/a", "20.00", "60.00"]
    (real,) = table(page, "Real images, cost, seeds")
    assert list(real.values()) == ["Nearest", "80.00", "n/a", "1,234,567", "61", "250", "7.07"]


def test_a_study_is_shown_in_its_own_order_once_two_of_its_rows_are_there(registry):
    assert registry.ablations == {"ways": ("nearest", "nearest@raising")}
    assert "Ablation" not in page_of(registry, full_row("nearest"))
    page = page_of(registry, [*full_row("nearest@raising", oscr=0.1), *full_row("nearest", oscr=0.9)])
    assert [row["Method"] for row in table(page, "Ablation: ways")] == ["Nearest", "Nearest (raising)"]


def test_other_confidences_have_a_table_of_their_own(registry):
    values = figures(0.8, variants={"margin": curves(0.25)})
    page = page_of(registry, [entry(values=values)])
    (row,) = table(page, "Other confidences that the methods declare")
    assert (row["Method"], row["Unseen seed AUC ↑"]) == ("Nearest: margin", "**25.00**")
    assert "margin" not in str(table(page, "Open-set recognition"))


def test_a_page_states_data_preset_splits_seeds_and_checkpoint(registry):
    entries = [
        entry(fields={"config": {"keep": "best"}}),
        entry("other", "split2", seed=3),
    ]
    facts = next(line for line in page_of(registry, entries).splitlines() if line.startswith("**Data**"))
    assert facts == (
        "**Data** toy (noise) · **recipe** `ffffffffffff` · **preset** smoke · **splits** split1, split2 · "
        "**seeds** 0, 3 · **checkpoint** best or last"
    )


def test_a_page_names_the_pixels_of_data_that_are_files(registry):
    data = replace(DATA, pixels="abcdef" * 10)
    assert "· **recipe** `ffffffffffff` · **pixels** `abcdefabcdef` · **preset**" in page_of(
        registry, [entry(data=data)]
    )


def test_a_page_says_if_images_of_the_recipe_are_missing(registry):
    data = replace(DATA, coverage=0.25)
    assert "**Data** toy (noise), 25.0% of its images ·" in page_of(registry, [entry(data=data)])


# -- published rows ----------------------------------------------------------------------------------

PUBLISHED = {
    "osma": {"open-set": [{"title": "POSE", "accuracy": 94.81, "auc_unseen_all": 82.76}]},
    "toy": {
        "open-set": [{"title": "Legend", "accuracy": 99.0, "oscr_unseen_seed": 1.5}],
        "attribution": [{"title": "Other"}],
    },
}


def test_published_rows_stand_beside_their_own_data_and_table_only(registry):
    page = page_of(registry, full_row("nearest"), PUBLISHED)
    *_, row = table(page, "Open-set recognition")
    assert (row["Method"], row["Accuracy ↑"], row["Splits"], row["From"]) == ("Legend", "99.00", "n/a", "published")
    assert (row["Unseen seed OSCR ↑"], row["Unseen all AUC ↑"]) == ("1.50", "n/a")
    assert "POSE" not in page
    assert "Other" not in page


def test_a_published_row_is_never_marked_best(registry):
    page = page_of(registry, full_row("nearest", accuracy=0.2), PUBLISHED)
    own, published = table(page, "Open-set recognition")
    assert own["Accuracy ↑"].startswith("**20.00**")
    assert published["Accuracy ↑"] == "99.00"


# -- several protocols -------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"fingerprint": "e" * 64}, {"protocol": 2}])
def test_rows_of_different_data_or_rules_never_share_a_table(registry, fields):
    newer = full_row("new", fields=fields, finished="2026-02-01")
    page = page_of(registry, [*full_row("old", finished="2026-01-01"), *newer])
    new, old = page.split("**Data**")[1:]
    assert "| New" in new
    assert "| Old" in old
    assert "| Old" not in new
    assert "| New" not in old


def test_summaries_on_disk_keep_protocols_apart(registry, tmp_path):
    entries = [*full_row("same", 0.2), *full_row("same", 0.8, fields={"fingerprint": "e" * 64})]
    write_board(Board("toy-smoke", entries), registry.ablations, tmp_path)
    sums = pd.read_csv(tmp_path / "toy-smoke" / "summary.csv")
    assert dict(zip(sums["fingerprint"].str[0], sums["accuracy_mean"], strict=True)) == pytest.approx(
        {"f": 0.2, "e": 0.8}
    )
    assert set(sums["splits"]) == {5}


# -- on disk -----------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path):
    return tmp_path / "my results", tmp_path / "my leaderboards"


def commit(leaderboards, *cells, **options):
    """Cells as they are committed beside a board."""
    for cell in cells:
        folder = store_row(leaderboards / "elsewhere", cell, **options)
        target = leaderboards / "toy-smoke" / "cells" / cell.key / folder.name
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)


def contents(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


def test_a_board_joins_committed_and_local_cells_and_leaves_the_committed_files_alone(registry, places):
    results, leaderboards = places
    commit(leaderboards, row_cell("theirs"), row_cell("shared"), row_cell("shared", "split2"))
    store_row(results, row_cell("shared", "split3"))
    store_row(results, row_cell("mine"))
    before = contents(leaderboards)
    path = write_board(build_board("toy", "smoke", results, leaderboards), registry.ablations, leaderboards)
    after = contents(leaderboards)
    assert all(after[file] == facts for file, facts in before.items())
    rows = {row["Method"]: (row["Splits"], row["From"]) for row in table(path.read_text(), "Open-set recognition")}
    assert rows == {
        "Theirs": ("1 of 5", COMMITTED),
        "Shared": ("1 of 5", "this machine"),
        "Mine": ("1 of 5", "this machine"),
    }


def test_a_board_can_be_built_from_committed_cells_alone(registry, places):
    results, leaderboards = places
    commit(leaderboards, row_cell("theirs"))
    board = build_board("toy", "smoke", results, leaderboards)
    assert [(e.key, e.origin) for e in board.entries] == [("theirs", COMMITTED)]


def test_boards_of_other_presets_and_data_stay_out(registry, places):
    results, leaderboards = places
    for fields in ({}, {"preset": "quick"}, {"preset": "smoke~mine"}, {"dataset": "other"}):
        store_row(results, row_cell(**fields))
    assert len(build_board("toy", "smoke", results, leaderboards).entries) == 1


def test_the_files_of_a_board_hold_plain_numbers_as_fractions(registry, places):
    results, leaderboards = places
    store_row(results, row_cell(split="split1"), figures(0.75))
    store_row(results, row_cell(split="split2"), status="failed", reason="why")
    path = write_board(build_board("toy", "smoke", results, leaderboards), registry.ablations, leaderboards)
    (row,) = json.loads((path.parent / "board.json").read_text())["rows"]
    assert (row["method"], row["accuracy_mean"], row["accuracy_sd_splits"], row["failed"]) == ("nearest", 0.75, None, 1)
    cells = pd.read_csv(path.parent / "cells.csv")
    assert cells[["split", "status"]].to_numpy().tolist() == [["split1", "done"], ["split2", "failed"]]
    assert cells["accuracy"].fillna(-1).tolist() == [0.75, -1]
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["README.md", "board.json", "cells.csv", "summary.csv"]


def test_writing_a_board_twice_gives_the_same_bytes(registry, places):
    results, leaderboards = places
    for key in ("b", "a"):
        store_row(results, row_cell(key))
    pages = [
        write_board(build_board("toy", "smoke", results, leaderboards), registry.ablations, leaderboards).read_bytes()
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
    assert pages[0].endswith(b"\n")


def test_published_rows_are_read_from_the_file_of_all_boards(registry, places):
    results, leaderboards = places
    store_row(results, row_cell())
    leaderboards.mkdir()
    (leaderboards / "published.yaml").write_text(yaml.safe_dump(PUBLISHED))
    path = write_board(build_board("toy", "smoke", results, leaderboards), registry.ablations, leaderboards)
    assert re.search(r"\| Legend .*\| published", path.read_text())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("osma: [", "not valid YAML"),
        ("osma: {open-set: [{accuracy: 1}]}", "osma.open-set.0.title: Field required"),
        ("osma: {open-set: [{title: A, accuracy: much}]}", "figures.accuracy: Input should be a valid number"),
        ("osma: {open-set: [{title: A, auc_all: 1}]}", "osma.open-set.0: there is no column 'auc_all'; did you mean"),
    ],
)
def test_a_mistake_in_the_published_figures_is_one_line(tmp_path, text, said):
    (tmp_path / "published.yaml").write_text(text)
    with refused(said):
        published_tables(tmp_path)
