"""Two steps of every stage, on 32 images of 128 px, under every preset that a method declares and as published.

What the light presets of other tests never build: wide networks, large batches, every device there is.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import torch

from methods.core.validity import checked
from tests.methods.data import Fitted, fit, is_method, registry, textures

CLASSES, PER_CLASS, SIZE = 4, 8, 128
MOST = 2
PUBLISHED = "paper"  # takes up to a minute on one core, since batches and networks have their full size

Known = defaultdict[tuple[str, str], Fitted]


@pytest.fixture(scope="module")
def known() -> Known:
    """Required methods that are fitted already, by preset and device."""
    return defaultdict(dict)


def presets() -> list[Any]:
    """Every method with each of its presets."""
    return [
        pytest.param(name, preset, id=f"{name}-{preset}", marks=[pytest.mark.slow] if preset == PUBLISHED else [])
        for name, plugin in registry().items()
        if is_method(plugin)
        for preset in (*plugin.PRESETS, PUBLISHED)
    ]


def devices() -> list[Any]:
    absent = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
    return [pytest.param("cpu"), pytest.param("cuda", marks=absent)]


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize(("name", "preset"), presets())
@pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")  # computed all the same
def test_two_steps_complete_under_every_preset(name: str, preset: str, device: str, known: Known) -> None:
    train, val = textures(CLASSES, PER_CLASS, SIZE, seed=0), textures(CLASSES, 1, SIZE, seed=1)
    settings: dict[str, Any] = {"device": torch.device(device), "max_steps": MOST}
    method = fit(name, train, val, preset=preset, known=known[preset, device], **settings)
    checked(method.predict(train), len(train), CLASSES)
    rows = method.run.history.rows
    assert all(int(row["steps"]) <= MOST for row in rows)
    assert len({row["stage"] for row in rows}) == len(rows)  # a single epoch of every stage
