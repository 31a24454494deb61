"""The figures that the README and the reading of the results quote are those of the committed board."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from benchmark.commands.options import CHECKOUT

COLUMNS = {
    "accuracy": "accuracy", "AUC unseen seed": "auc_unseen_seed", "AUC unseen architecture": "auc_unseen_arch",
    "AUC unseen data": "auc_unseen_dataset", "AUC all": "auc_unseen_all", "OSCR all": "oscr_unseen_all",
}  # fmt: skip
PAGES = ("README.md", "docs/results.md")


def quoted_rows(page, first="row"):
    """(name, column, text) of every table whose first column is headed so."""
    headers: list[str] = []
    for line in (CHECKOUT / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            headers = []
        elif not headers:
            headers = cells
        elif headers[0] == first and not set(cells[0]) <= set("-: "):
            yield from ((cells[0], header, text) for header, text in zip(headers[1:], cells[1:], strict=True))


@pytest.mark.parametrize("page", PAGES)
def test_every_quoted_figure_is_that_of_the_board(page):
    sums = pd.read_csv(CHECKOUT / "leaderboards" / "mini-quick" / "summary.csv").set_index("title")
    checked = 0
    for title, header, text in quoted_rows(page):
        if header not in COLUMNS or text == "n/a":
            continue
        mean, deviation = (100 * sums.loc[title, f"{COLUMNS[header]}_{what}"] for what in ("mean", "sd_splits"))
        assert text == f"{mean:.1f} ± {deviation:.1f}", (title, header)
        checked += 1
    assert checked


def test_every_quoted_difference_is_that_of_the_cells():
    cells = pd.read_csv(CHECKOUT / "leaderboards" / "mini-quick" / "cells.csv")
    quoted = [entry for entry in quoted_rows("docs/results.md", "difference") if entry[1] in COLUMNS]
    assert quoted
    for pair, header, text in quoted:
        one, other = (by_split(cells, name, COLUMNS[header]) for name in pair.split(" − "))
        gains = 100 * (one - other)
        mean = f"{gains.mean():+.1f}".replace("-", "−")
        assert text == f"{mean} ({gains.std():.1f}, {(gains > 0).sum()}/{len(gains)})", (pair, header)


def by_split(cells, name, column):
    title = name if name in set(cells["title"]) else f"Base+{name}"
    return cells[cells["title"] == title].set_index("split")[column]


def test_the_readme_shows_every_row_of_the_board_that_judges_single_images():
    sums = pd.read_csv(CHECKOUT / "leaderboards" / "mini-quick" / "summary.csv")
    judged = sums[sums["accuracy_mean"].notna()]["title"]
    assert set(judged) <= {title for title, *_ in quoted_rows("README.md")}


def test_every_relative_link_of_the_documents_leads_somewhere():
    for page in (*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("datasets/*/*.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)
