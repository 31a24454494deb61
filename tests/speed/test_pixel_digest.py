"""The benchmark measures what it says; how much that is is no matter of tests."""

from __future__ import annotations

from pathlib import Path

from tests.speed.pixel_digest import measure


def test_it_runs_and_counts(tmp_path: Path) -> None:
    costs = measure(tmp_path, 12, repeats=2)
    assert costs.images == 12
    assert [len(values) for values in (costs.with_digest, costs.without, costs.again)] == [2, 2, 2]
    assert min(*costs.with_digest, *costs.without, *costs.again) > 0 and costs.ratio > 0
