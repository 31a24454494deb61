"""The discovery table: rows, rules, means, and what stands beside them."""

from __future__ import annotations

import re

from benchmark.boards.discovery_table import discovery_sections, rules
from benchmark.boards.leaderboard import Board, render
from benchmark.boards.published import PublishedRow
from benchmark.evaluation.figures import DiscoveryEvaluation, FoundClusters, KMeansClusters
from benchmark.metrics.open_set import VERSION
from tests.benchmark.boards.test_leaderboard import table
from tests.benchmark.rows import entry, figures


def clustering(k, purity=0.5, ari=0.4, seed=0, classes=8, pool="all", normalisation="none"):
    figures = {"purity": purity, "nmi": 0.6, "ari": ari}
    return KMeansClusters(pool, 48, classes, k, figures, normalisation, k, k, seed, 10, 1.0, 5, 0.1, "by hand")


def own(clusters, purity=0.3, of="all", pool="all", coverage=1.0):
    return FoundClusters(pool, 48, 8, clusters, {"purity": purity, "nmi": 0.5, "ari": 0.2}, of, coverage)


def discovery(split="split1", clusters=5, purity=0.3, **options):
    rows = own(clusters, purity), own(clusters - 1, 0.9, "discovered", coverage=0.75), own(3, pool="known+seed")
    return entry("sorter", split, values=DiscoveryEvaluation(VERSION, 0.5, 2, rows), kind="discovery", **options)


def ordinary(*rows, split="split1", key="nearest", **options):
    return entry(key, split, values=figures(0.5, clusterings=rows), **options)


def sections(*entries, published=()):
    return dict(discovery_sections(entries, 5, published))


def rows_of(markdown):
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


MAIN = "Discovery: all test images"
OTHERS = "Discovery: without images that were only put to the nearest group"


def test_discovery_stands_beside_clustering_at_its_number_of_groups_and_at_the_true_one():
    shown = sections(discovery(), ordinary(clustering(5, 0.6), clustering(8, 0.7)))
    rows = rows_of(shown[MAIN])
    assert [(row["Method"], row["Learns from"], row["Number of groups"], row["k"]) for row in rows] == [
        ("Sorter", "labelled + unlabelled pool", "its own", "5"),
        ("Nearest", "labelled only", "of Sorter", "5"),
        ("Nearest", "labelled only", "of classes", "8"),
    ]
    assert [row["Purity ↑"] for row in rows] == ["30.00", "60.00", "70.00"]
    assert [row["Splits"] for row in rows] == ["1 of 5"] * 3


def test_means_go_over_kmeans_seeds_then_splits_and_the_spread_of_seeds_stands_apart():
    first = [clustering(5, 0.5, 0.1, seed=0), clustering(5, 0.7, 0.3, seed=1)]  # split mean 0.6
    second = [clustering(6, 0.8, 0.5, seed=0), clustering(6, 0.8, 0.5, seed=1)]
    entries = [discovery(), discovery("split2", 6), ordinary(*first), ordinary(*second, split="split2")]
    row = rows_of(sections(*entries)[MAIN])[1]
    assert (row["k"], row["Purity ↑"]) == ("5–6", "70.00 ± 14.14")
    assert row["k-means sd of ARI"] == "7.07"  # 0.1414 on the first split, 0 on the second
    assert row["Splits"] == "2 of 5"


def test_a_number_counts_as_found_only_on_the_split_where_it_was_found():
    shown = rows_of(sections(discovery(clusters=5), ordinary(clustering(5), split="split2"))[MAIN])
    assert shown[1]["Number of groups"] == "fixed 5"


def test_a_number_can_have_more_than_one_reason_or_none():
    assert rules(clustering(8), {"A": 8, "B": 7}) == ["of A", "of classes"]
    assert rules(clustering(7), {"A": 7, "B": 7}) == ["of A", "of B"]
    assert rules(clustering(49), {}) == ["fixed 49"]


def test_rows_of_a_rule_stand_together_the_best_ari_last():
    entries = [
        discovery(),
        ordinary(clustering(5, ari=0.9), clustering(8, ari=0.1), key="good"),
        ordinary(clustering(5, ari=0.2), clustering(8, ari=0.8), key="bad"),
    ]
    order = [(row["Method"], row["k"]) for row in rows_of(sections(*entries)[MAIN])]
    assert order == [("Sorter", "5"), ("Bad", "5"), ("Good", "5"), ("Good", "8"), ("Bad", "8")]


def test_discovered_images_alone_have_a_table_with_their_share():
    (row,) = rows_of(sections(discovery())[OTHERS])
    assert (row["Images"], row["Purity ↑"], row["k"]) == ("75.0 %", "90.00", "4")


def test_other_pools_and_normalisations_have_tables_when_they_were_computed():
    entries = [discovery(), ordinary(clustering(3, pool="known+seed"), clustering(8, normalisation="l2"))]
    shown = sections(*entries)
    assert list(shown) == [
        MAIN, "Discovery: all test images, features scaled to length 1", "Discovery: known+seed test images", OTHERS,
    ]  # fmt: skip
    assert [row["Number of groups"] for row in rows_of(shown["Discovery: known+seed test images"])] == [
        "its own", "of Sorter",
    ]  # fmt: skip


def test_a_failed_discovery_stands_in_the_table_as_such():
    failed = entry("sorter", "split2", status="failed", kind="discovery")
    (row,) = rows_of(sections(failed)[MAIN])
    assert (row["Purity ↑"], row["k"], row["Splits"]) == ("n/a", "n/a", "0 of 5 (1 failed)")
    both = rows_of(sections(discovery(), failed)[MAIN])
    assert (both[0]["Purity ↑"], both[0]["Splits"]) == ("30.00", "1 of 5 (1 failed)")


def test_published_rows_stand_last_in_the_first_table_only():
    published = [PublishedRow(title="Theirs", k=49, figures={"purity": 32.89, "nmi": 61.89, "ari": 21.05})]
    shown = sections(discovery(), published=published)
    row = rows_of(shown[MAIN])[-1]
    assert (row["Method"], row["k"], row["Purity ↑"], row["From"]) == ("Theirs", "49", "32.89", "published")
    assert "Theirs" not in shown[OTHERS]


def test_without_any_clustering_there_is_no_table():
    assert sections(entry()) == {}


def test_a_board_shows_the_table_and_keeps_discovery_out_of_the_others(registry):
    page = render(Board("toy-smoke", [discovery(), ordinary(clustering(5), clustering(8))]), registry.ablations, {})
    assert [row["Method"] for row in table(page, MAIN)] == ["Sorter", "Nearest", "Nearest"]
    assert [row["Method"] for row in table(page, "Open-set recognition")] == ["Nearest"]
    assert len(re.findall("^## Discovery", page, re.MULTILINE)) == 2


def test_a_row_whose_features_have_not_been_clustered_is_in_no_table():
    assert sections(entry("plain", values=figures(0.5))) == {}
