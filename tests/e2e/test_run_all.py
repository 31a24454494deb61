"""From one command to a leaderboard, with the embedded data, real methods and real processes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from PIL import Image

from tests.e2e.conftest import SMOKE, Finished, Place


def snapshot(folder: Path) -> dict[Path, tuple[int, str]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


def test_one_command_runs_methods_on_the_embedded_data_and_prints_their_leaderboard(
    first_run: tuple[Place, Finished],
) -> None:
    place, done = first_run
    assert done.status == 0, done.err
    page = (place.boards / "mini-smoke" / "README.md").read_text()
    assert page in done.out
    assert "stand-in generators" in page
    assert {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")} >= {"Base", "POSE"}
    assert done.out.endswith("2 of 2 cells done, 2 computed now\n")
    lines = sorted(line.split("  ")[0].split()[0] for line in done.err.splitlines())
    assert lines == ["done", "done"], done.err


def test_the_run_leaves_a_cell_a_method_with_the_protocol_of_the_data(first_run: tuple[Place, Finished]) -> None:
    place, _ = first_run
    cells = sorted(place.results.glob("mini/smoke/*/split1-seed0/cell.json"))
    assert [cell.parents[1].name for cell in cells] == ["base", "pose"]
    data = json.loads(cells[0].read_text())["data"]
    assert (len(data["known"]), data["known"][0], len(data["splits"])) == (15, "real", 5)
    assert {group: len(names) >= 8 for group, names in data["unknown"].items()} == dict.fromkeys(data["unknown"], True)
    values = json.loads((cells[0].parent / "evaluation.json").read_text())
    assert 1 / 15 < values["closed_set"]["figures"]["accuracy"] <= 1
    assert values["real"]["unseen"] is not None


def test_a_second_run_computes_nothing_and_changes_no_result(place: Place) -> None:
    before = snapshot(place.results)
    done = place.run_all(*SMOKE)
    assert (done.status, done.err) == (0, "")
    assert done.out.endswith("2 of 2 cells done, 0 computed now\n")
    assert snapshot(place.results) == before


def test_every_command_works_on_what_the_run_left(place: Place) -> None:
    committed = place.boards / "mini-smoke" / "cells"
    for words in (["evaluate", "--official"], ["submit"], ["leaderboard"], ["figures"], ["verify"]):
        done = place.benchmark(*words)
        assert (done.status, done.err) == (0, ""), words
    assert "4 cells checked, 0 faults" in done.out
    assert sorted(path.name for path in committed.iterdir()) == ["base", "pose"]
    with Image.open(place.boards / "mini-smoke" / "accuracy-auc.png") as picture:
        assert picture.size[0] > 500


def test_a_misspelt_method_is_one_line_with_the_right_one_and_ends_with_2(place: Place) -> None:
    done = place.run_all("--methods", "posse")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("error: unknown method 'posse'; did you mean 'pose'?")
    assert done.err.count("\n") == 1
