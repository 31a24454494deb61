"""The two sides of the benchmark do the same work; how fast is no matter of tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from datasets.pixels.cache import ENVIRONMENT
from tests.speed.decode_once import SIDE, Epoch, measure, our_epochs, paths_of, photographs, reference_epochs

# Python 3.12 warns whenever a process with threads forks, as a DataLoader makes it do.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def gathered(epoch: Epoch, number: int) -> tuple[Tensor, list[int]]:
    """The images of an epoch in the order of their rows, and the sizes of its batches."""
    batches = list(epoch(number))
    images, rows = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert sorted(rows.tolist()) == list(range(len(rows)))
    assert rows.tolist() != list(range(len(rows)))  # shuffled
    return images[rows.argsort()], [len(index) for _, index in batches]


def test_both_sides_give_every_image_once_with_equal_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "cache"))
    train = photographs(tmp_path, 21)
    ours, reference = our_epochs(train, 8), reference_epochs(paths_of(train, tmp_path), 8, workers=2)
    for number in range(2):
        (mine, my_sizes), (other, other_sizes) = gathered(ours, number), gathered(reference, number)
        assert my_sizes == other_sizes == [8, 8, 5]
        assert mine.shape == other.shape == (21, 3, SIDE, SIDE) and mine.dtype == other.dtype == torch.float32
        assert mine.min() < -0.5 and mine.max() > 0.5
        assert torch.allclose(mine, other, rtol=0, atol=1e-6)  # one divides by 127.5, the other by 255 and 0.5
        assert torch.equal(((mine + 1) * 127.5).round(), ((other + 1) * 127.5).round())


def test_the_benchmark_runs_and_counts_all_images_on_both_sides(tmp_path: Path) -> None:
    rates = measure(tmp_path, 12, batch=5, workers=0, repeats=2)
    assert (rates.images, len(rates.ours), len(rates.reference)) == (12, 2, 2)
    assert min(*rates.ours, *rates.reference) > 0
    assert rates.ratio > 0
