"""Every learned method drives its loss on one small batch to the least value that the loss can have.

The floors follow from the definitions of the losses, for K = 4 classes with 2 images each:

- a cross-entropy with one right class, and a placeholder that is to come second, end at 0;
- softmax values as logits lie in [0, 1], divided by a temperature t in [0, 1/t]: the cross-entropy ends
  at ln(1 + (K - 1) exp(-1/t));
- against a soft target a cross-entropy ends at the target's entropy;
- a supervised contrastive loss ends at ln P, with P partners for every row: then all partners coincide;
- the exponential of the mean negative entropy of K values ends at 1/K.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from datasets.types import ImageSet
from tests.methods.data import accuracy, fit, image_set, learned

CLASSES, PER_CLASS, SIZE, TILE = 4, 2, 32, 8
EPOCHS, STEPS = 4, 50
NEAR = 0.05  # a classification starts at about ln 4 = 1.39 above 0
ROUNDING = 1e-6


def double_softmax(temperature: float) -> float:
    return math.log(1 + (CLASSES - 1) * math.exp(-1 / temperature))


def smoothed(smoothing: float) -> float:
    """Entropy of a label of which a share is spread evenly over all classes."""
    target = np.full(CLASSES, smoothing / CLASSES)
    target[0] += 1 - smoothing
    return float(-(target * np.log(target)).sum())


@dataclass(frozen=True)
class Case:
    """What is known of a method's losses.

    Attributes:
        reached: terms that end near their floor on images learnt by heart.
        bounded: other terms with a floor, which they keep off because terms are at odds.
        settings: changes of the preset, for a batch that is the same in every step.
        variant: of the method, without what would make another batch of it.
    """

    reached: Mapping[str, float]
    bounded: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    variant: str | None = None


AUGMENTED = {"reconstruction": 0.0, "metric_new": 0.0, "metric_old": 0.0}
CASES = {
    "arpl_cs": Case({"cls": 0.0}, {"open": 0.0, "confusion": 0.1 / CLASSES}),
    "base": Case({"cls": double_softmax(0.1)}),
    "base_am": Case({"cls": double_softmax(0.1)}, AUGMENTED),
    "dct_cnn": Case({"ce": 0.0}),
    "dias": Case(
        {"cls": 0.0, "copycat": 0.0},
        {
            "moderate": 0.1 * smoothed(1), "easy": 0.1 / 3 * smoothed(1),
            "hard_early": 0.1 / 3 * smoothed(0.5), "hard_late": 0.1 / 3 * smoothed(0.5),
        },
    ),
    # The published loss; two patches of an image, so that a patch has three partners. A patch is the whole
    # magnified image: of parts, other batch statistics would be learnt than whole images have.
    "dna_det": Case({"cls": double_softmax(1), "contrast": math.log(3)}, settings={"plain_ce": False, "patch": 64}),
    "girish_step1": Case({"cls": 0.0}),
    # With settings 0.01 and 0.95 for nearness, 0.0001 for a cosine.
    "pose": Case({"cls": double_softmax(0.1)}, {**AUGMENTED, "close": 0.01 * (1 - 0.95), "push": -0.0001}),
    "proser": Case({"known": 0.0, "dummy": 0.0}, {"mix": 0.0}),
    "repmix": Case({"source": 0.0, "detection": 0.0}, settings={"corrupt_probability": 0.0}, variant="nomix"),
    "yu": Case({"ce": 0.0}),
}  # fmt: skip


def wallpapers() -> ImageSet:
    """Images with a random tile each, repeated without end, so that any part of one tells which it is."""
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (CLASSES * PER_CLASS, TILE, TILE, 3), dtype=np.uint8)
    repeats = SIZE // TILE
    labels = rng.permutation(np.repeat(np.arange(CLASSES), PER_CLASS))  # nothing but the memory can know them
    return image_set(np.tile(tiles, (1, repeats, repeats, 1)), labels, CLASSES)


def test_every_method_of_this_repository_that_trains_a_network_has_a_case() -> None:
    own = {name for name, plugin in learned().items() if plugin.__module__.startswith("methods.")}
    assert own == set(CASES)


@pytest.fixture(scope="module", params=CASES)
def learnt(request: pytest.FixtureRequest) -> tuple[Case, Any]:
    """A case, and its method after learning the wallpapers."""
    name, images = str(request.param), wallpapers()
    case = CASES[name]
    key = name if case.variant is None else f"{name}@{case.variant}"
    return case, fit(key, images, images, overrides={**length(name), **case.settings})


def length(name: str) -> dict[str, Any]:
    """The same number of steps for every method; its other settings are those of the preset."""
    fields = learned()[name].Config.model_fields
    epochs = {"epochs": EPOCHS, "steps_per_epoch": STEPS}
    if "steps_per_epoch" not in fields:  # an epoch is a pass, and a pass is the one batch
        epochs = {"epochs": EPOCHS * STEPS}
    constant = {"decay_factor": 1.0} if "decay_factor" in fields else {}  # of the learning rate
    return {**epochs, **constant, "keep": "last", "patience": None}


def history(method: Any) -> list[dict[str, Any]]:
    """Rows of the last stage, the one that learns the classes."""
    rows = method.run.history.rows
    return [row for row in rows if row["stage"] == rows[-1]["stage"]]


def test_every_step_sees_the_whole_batch(learnt: tuple[Case, Any]) -> None:
    method, images = learnt[1], wallpapers()
    assert all({*batch.index.tolist()} == {*range(len(images))} for batch in method.batches(images).epoch(0))


def test_one_batch_is_known_by_heart(learnt: tuple[Case, Any]) -> None:
    assert accuracy(learnt[1], wallpapers()) == 1.0


def test_the_classification_comes_near_the_floor_of_its_loss(learnt: tuple[Case, Any]) -> None:
    case, rows = learnt[0], history(learnt[1])
    last = rows[-len(rows) // EPOCHS :]
    for term, floor in case.reached.items():
        assert np.mean([row[term] for row in last]) == pytest.approx(floor, abs=NEAR), term


def test_no_term_ever_falls_below_its_floor(learnt: tuple[Case, Any]) -> None:
    case, rows = learnt[0], history(learnt[1])
    for term, floor in {**case.reached, **case.bounded}.items():
        assert min(row[term] for row in rows if term in row) >= floor - ROUNDING, term
