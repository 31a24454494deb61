"""How far two rankings agree, and the command that says it of a board."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from benchmark.boards.leaderboard import Board
from benchmark.boards.published import PublishedRow, published_tables
from benchmark.boards.rows import cells_frame
from benchmark.commands.main import main
from benchmark.commands.options import CHECKOUT
from benchmark.metrics.ranking import compare, interval, p_value, resamples, tau_b
from benchmark.studies.agreement import agreements, by_split
from methods.core.registry import load_registry
from tests.benchmark.boards.test_discovery_table import clustering, discovery, ordinary
from tests.benchmark.rows import SPLITS, entry, figures, row_cell, store_row
from tests.benchmark.toy import refused


def same_everywhere(**means):
    """A board whose rows have the same figure on all five splits."""
    return pd.DataFrame(dict.fromkeys(SPLITS, pd.Series(means, dtype=float)))


def published(**values):
    return pd.Series(values, dtype=float)


# -- tau and its interval ------------------------------------------------------------------------------


@pytest.mark.parametrize(("theirs", "tau"), [((70, 80, 90, 95), 1.0), ((95, 90, 80, 70), -1.0)])
def test_the_same_order_gives_one_and_the_reversed_minus_one_with_no_width_if_splits_are_equal(theirs, tau):
    found = compare(same_everywhere(a=0.1, b=0.2, c=0.3, d=0.4), published(**dict(zip("abcd", theirs, strict=True))))
    assert (found.tau, found.low, found.high) == (pytest.approx(tau), pytest.approx(tau), pytest.approx(tau))
    assert found.p == pytest.approx(2 / math.factorial(4))
    assert (found.p_by, found.rows) == ("exact", ("a", "b", "c", "d"))


def test_a_tie_is_counted_as_by_hand():
    # Pairs: ab +, ac +, ad -, bc tied here, bd +, cd +; five of six are untied here, six where published.
    found = compare(same_everywhere(a=0.2, b=0.3, c=0.3, d=0.1), published(a=2, b=3, c=4, d=2.5))
    assert found.tau == pytest.approx((4 - 1) / math.sqrt(5 * 6))
    # The 12 orders of 1, 2, 3, 3 differ from it by 5, 3, 3, 1, 1, 1 and the negatives of these.
    assert found.p == pytest.approx(6 / 12)
    assert found.p_by == "exact"


def test_the_interval_is_that_of_all_3125_draws_of_five_splits():
    rng = np.random.default_rng(0)
    values, theirs = np.linspace(0.7, 0.8, 6)[:, None] + 0.05 * rng.standard_normal((6, 5)), np.arange(6.0)
    draws = [
        kendalltau(values[:, list(drawn)].mean(axis=1), theirs).statistic
        for drawn in itertools.product(range(5), repeat=5)
    ]
    low, high = np.percentile(draws, [2.5, 97.5], method="inverted_cdf")
    found = compare(pd.DataFrame(values, index=list("abcdef"), columns=list(SPLITS)), pd.Series(theirs, list("abcdef")))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert low < found.tau < high


def test_every_draw_of_splits_is_counted_once():
    drawn, times = resamples(5)
    assert times.sum() == 5**5
    assert len(drawn) == len(np.unique(drawn, axis=0)) == math.comb(9, 5)
    assert set(drawn.sum(axis=1)) == {5}
    by_draw = {tuple(d): int(n) for d, n in zip(drawn, times, strict=True)}
    assert by_draw[5, 0, 0, 0, 0] == 1
    assert by_draw[1, 1, 1, 1, 1] == 120
    assert by_draw[2, 2, 1, 0, 0] == 30


def test_with_more_splits_than_can_be_listed_the_same_draws_are_taken_every_time():
    first, second = resamples(11), resamples(11)
    assert np.array_equal(first[0], second[0])
    assert set(first[0].sum(axis=1)) == {11}
    assert first[0].mean(axis=0) == pytest.approx(np.ones(11), abs=0.02)
    assert set(first[1]) == {1}


def test_rows_that_tie_in_a_resample_do_not_depend_on_the_order_of_a_sum():
    values = np.array([[0.1, 0.2, 0.3, 0.4, 0.7], [0.7, 0.4, 0.3, 0.2, 0.1], [0.0, 0.0, 0.0, 0.0, 0.0]])
    once, reversed_ = interval(values, np.array([3.0, 2, 1])), interval(values[:, ::-1], np.array([3.0, 2, 1]))
    assert once == reversed_
    found = compare(pd.DataFrame(values, index=list("abc")), published(a=3, b=2, c=1))
    assert found.tau == pytest.approx(2 / math.sqrt(2 * 3))


small = st.lists(st.integers(0, 4), min_size=2, max_size=7)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_tau_is_that_of_scipy_with_ties_in_any_place(data):
    ours = data.draw(small)
    theirs = data.draw(st.lists(st.integers(0, 4), min_size=len(ours), max_size=len(ours)))
    expected = kendalltau(ours, theirs).statistic
    found = float(tau_b(np.array(ours, float), np.array(theirs, float)))
    assert found == pytest.approx(0 if math.isnan(expected) else expected)


def test_p_is_exact_without_ties_and_counts_orders_with_ties_up_to_eight_rows():
    ours = np.array([1.0, 2, 3, 5, 4])
    # Of 120 orders 1, 4, 9 have 0, 1, 2 inversions; one inversion or fewer, or nine or more: 2 * (1 + 4).
    assert p_value(ours, np.arange(5.0)) == (pytest.approx(10 / 120), "exact")
    assert p_value(np.array([1.0, 1, 2]), np.arange(3.0)) == (pytest.approx(4 / 6), "exact")
    p, how = p_value(np.array([1.0, 1, 2, 3, 4, 5, 6, 7, 8]), np.arange(9.0))
    assert how == "normal approximation"
    assert 0 < p < 0.01


# -- which rows count ----------------------------------------------------------------------------------


def test_rows_that_are_incomplete_or_on_one_side_only_are_left_out_and_named():
    ours = same_everywhere(a=0.1, b=0.2, part=0.9, failed=0.9, own=0.9)
    ours.loc["part", ["split2", "split3"]] = np.nan
    ours.loc["failed"] = np.nan
    found = compare(ours, published(a=1, b=2, part=0, failed=0, theirs=5))
    assert found.rows == ("a", "b")
    assert found.tau == pytest.approx(1)
    assert found.left_out == {
        "part": "3 of 5 splits", "failed": "0 of 5 splits", "own": "not published", "theirs": "not on the board",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "reason"),
    [({"a": 0.1, "x": 0.2}, "only one row has both figures"), ({"x": 0.1}, "no row has both figures"),
     ({"a": 0.1, "b": 0.1}, "all rows tie")],
)  # fmt: skip
def test_too_few_rows_or_nothing_but_ties_give_a_reason_instead_of_a_number(ours, reason):
    found = compare(same_everywhere(**ours), published(a=1, b=2))
    assert (found.tau, found.low, found.high, found.p, found.reason) == (None, None, None, None, reason)


def test_a_single_split_has_no_interval():
    found = compare(pd.DataFrame({"split1": {"a": 0.1, "b": 0.2}}), published(a=1, b=2))
    assert (found.tau, found.low, found.high) == (1.0, None, None)


def test_a_figure_of_a_split_is_the_mean_over_its_seeds():
    cells = [entry("a", "split1", seed, values=figures(value)) for seed, value in ((0, 0.2), (1, 0.4))]
    frame = by_split(cells_frame([*cells, entry("b", "split2", status="failed")]), "accuracy", SPLITS[:2])
    assert frame.loc["A"].fillna(-1).tolist() == [pytest.approx(0.3), -1]
    assert frame.loc["B"].isna().all()


def test_two_rows_of_one_title_are_refused():
    with refused("two rows are called 'Twin'"):
        by_split(cells_frame([entry("a", title="Twin"), entry("b", title="Twin")]), "accuracy", SPLITS)


# -- boards --------------------------------------------------------------------------------------------

ROWS = {"low": 0.6, "middle": 0.7, "high": 0.8}


def full(key, value, **options):
    return [entry(key, split, values=figures(value, auc=value, oscr=1 - value), **options) for split in SPLITS]


PUBLISHED = {
    "open-set": [
        {"title": title, "accuracy": rank, "auc_unseen_all": rank, "oscr_unseen_all": rank, "auc_unseen_seed": rank}
        for rank, title in enumerate(("Low", "Middle", "High"))
    ],
    "attribution": [{"title": "Low", "accuracy": 1.0}],
    "discovery": [
        {"title": "Sorter", "number": "its own", "purity": 10, "nmi": 10, "ari": 10},
        {"title": "Nearest", "number": "of Sorter", "purity": 20, "nmi": 20, "ari": 20},
        {"title": "Nearest", "number": "of classes", "purity": 30, "nmi": 30, "ari": 15},
        {"title": "Nearest", "purity": 40, "nmi": 40, "ari": 40},
    ],
}


TABLES = {table: [PublishedRow.model_validate(row) for row in rows] for table, rows in PUBLISHED.items()}


def test_every_column_of_every_table_is_compared_on_its_own():
    entries = [cell for key, value in ROWS.items() for cell in full(key, value)]
    found = agreements(Board("toy-smoke", entries), TABLES)
    assert {table for table, _ in found} == {"open-set"}
    taus = {figure: result.tau for (_, figure), result in found.items()}
    assert taus == {
        "accuracy": 1, "auc_unseen_all": 1, "oscr_unseen_all": -1, "auc_unseen_seed": 1, "auc_unseen_arch": None,
        "auc_unseen_dataset": None,
    }  # fmt: skip
    assert found["open-set", "auc_unseen_arch"].reason == "no row has both figures"


def test_discovery_rows_are_matched_by_title_and_whose_number_of_groups_they_have():
    entries = [
        cell
        for split in SPLITS
        for cell in (
            discovery(split, clusters=5, purity=0.3),
            ordinary(clustering(5, 0.6, 0.5), clustering(8, 0.7, 0.4), split=split),
        )
    ]
    found = agreements(Board("toy-smoke", entries), {"discovery": TABLES["discovery"]})
    assert found["discovery", "purity"].rows == (
        "Sorter, number of groups its own",
        "Nearest, number of groups of Sorter",
        "Nearest, number of groups of classes",
    )
    assert found["discovery", "purity"].tau == pytest.approx(1)
    assert found["discovery", "ari"].tau == pytest.approx(1)
    unexplained = {"Nearest, number of groups not explained": "not on the board"}
    assert found["discovery", "purity"].left_out == unexplained


# -- the command ---------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path):
    """Three complete rows and one without split 5, beside published figures."""
    results, leaderboards = tmp_path / "results", tmp_path / "boards"
    for key, value in {**ROWS, "partial": 0.9}.items():
        for split in SPLITS[:4] if key == "partial" else SPLITS:
            store_row(results, row_cell(key, split), figures(value, auc=value))
    leaderboards.mkdir()
    rows = [*PUBLISHED["open-set"], {"title": "Partial", "accuracy": 0.0}]
    (leaderboards / "published.yaml").write_text(yaml.safe_dump({"osma": {"open-set": rows}}))
    return results, leaderboards


def call(places, *options):
    return main(["agreement", "--results", str(places[0]), "--leaderboards", str(places[1]), *options])


def test_the_command_prints_the_table_and_writes_page_and_file_beside_the_board(places, capsys):
    assert call(places, "--board", "toy-smoke") == 0
    printed = capsys.readouterr().out
    assert "Kendall's τ-b" in printed
    folder = places[1] / "toy-smoke"
    page = (folder / "agreement.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| Open-set recognition")]
    cells = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert cells == ["Open-set recognition", "Accuracy", "3", "+1.00", "+1.00 to +1.00", "0.33"]
    assert "Partial (4 of 5 splits)" in page
    frame = pd.read_csv(folder / "agreement.csv").set_index("column")
    assert frame.loc["accuracy", ["rows", "splits", "tau_b", "low", "high"]].tolist() == [3, 5, 1, 1, 1]
    assert frame.loc["accuracy", "compared"] == "High; Low; Middle"
    assert frame.loc["accuracy", "left_out"] == "Partial (4 of 5 splits)"
    assert frame.loc["auc_unseen_dataset", "reason"] == "no row has both figures"


def test_the_same_cells_give_the_same_bytes(places):
    pages = []
    for _ in range(2):
        call(places)
        pages.append([(places[1] / "toy-smoke" / name).read_bytes() for name in ("agreement.md", "agreement.csv")])
    assert pages[0] == pages[1]


def test_a_board_or_a_data_set_that_is_not_there_is_one_clear_line(places):
    with refused("--board mini-quick: no cells of such a board; there are toy-smoke"):
        call(places, "--board", "mini-quick")
    with refused("--published elsewhere: "):
        call(places, "--published", "elsewhere")


def test_a_board_without_finished_cells_is_passed_over(tmp_path, capsys):
    store_row(tmp_path / "results", row_cell(), status="failed", reason="why")
    (tmp_path / "published.yaml").write_text("osma: {}")
    assert call((tmp_path / "results", tmp_path)) == 0
    assert "no agreement of toy-smoke: none of its cells is finished" in capsys.readouterr().out


def test_every_published_row_is_called_like_a_method_of_this_repository(monkeypatch):
    monkeypatch.undo()  # the repository's own plugins
    registry, tables = load_registry(), published_tables(CHECKOUT / "leaderboards")["osma"]
    assert {row.title for rows in tables.values() for row in rows} <= {registry[key].title for key in registry}
