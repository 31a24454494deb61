"""Tables of a narrow terminal: fewer columns, whole words."""

from __future__ import annotations

import pytest

from datasets.columns import fitting, narrowed

PAGE = """# Board

| Method | Accuracy | AUC |
|:---|---:|---:|
| **pose** | 91.2 ± 0.1 | [90](https://example.org/a) |

words | are no table
"""


@pytest.mark.parametrize(("width", "count"), [(100, 3), (16, 3), (15, 2), (12, 2), (11, 1), (1, 1)])
def test_columns_are_counted_from_the_left_and_the_first_is_always_there(width: int, count: int) -> None:
    assert fitting([["name", "size", "is"], ["one", "12", ""]], width, gap=2) == count


def test_wide_characters_take_two_places() -> None:
    assert fitting([["名前", "b"]], width=8, gap=2) == 1
    assert fitting([["name", "b"]], width=9, gap=2) == 2


def test_a_page_that_fits_is_left_alone() -> None:
    page, lost = narrowed(PAGE, 80)
    assert lost == 0
    assert page == PAGE.replace("|:---|---:|---:|", "| :--- | ---: | ---: |")


def test_columns_that_do_not_fit_are_left_out_and_words_stay_whole() -> None:
    page, lost = narrowed(PAGE, 22)
    assert lost == 1
    assert page.splitlines()[2:5] == ["| Method | Accuracy |", "| :--- | ---: |", "| **pose** | 91.2 ± 0.1 |"]
    assert page.splitlines()[-1] == "words | are no table"


def test_markup_takes_no_place() -> None:
    page, lost = narrowed("| a |\n|---|\n| [90](https://example.org/long/address) |\n", 8)
    assert (lost, "https" in page) == (0, True)


def test_an_escaped_bar_is_part_of_its_cell() -> None:
    page, lost = narrowed("| a \\| b | c |\n|---|---|\n| 1 | 2 |\n", 9)
    assert lost == 1
    assert page.splitlines()[0] == "| a \\| b |"
