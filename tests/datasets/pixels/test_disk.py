"""Disk space is told in words, and asked for before it is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.core.text import readable
from datasets.errors import UserError
from datasets.pixels.disk import Need


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (14_332_907_520, "13.3 GiB")]
)
def test_sizes_are_readable(count: int, text: str) -> None:
    assert readable(count) == text


def test_some_space_is_left_free(tmp_path: Path) -> None:
    Need(1, 100, (64 << 20) + 100, tmp_path).check()
    with pytest.raises(UserError):
        Need(1, 101, (64 << 20) + 100, tmp_path).check()
