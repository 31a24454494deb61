"""What every registered method keeps, whatever it is. No method is named here.

All checks of one method share its fits; `xdist_group` keeps them on one worker (`--dist loadgroup`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets.types import ImageSet
from methods.core.device import seed_everything
from methods.core.history import Diverged
from methods.core.method import DiscoveryMethod, Prediction
from methods.core.run import Progress, Run
from methods.core.validity import checked, checked_discovery
from tests.methods.data import (
    Fitted,
    Stop,
    accuracy,
    copied,
    fit,
    image_set,
    is_method,
    make_run,
    noise_outside,
    pooled,
    registry,
    relabelled,
    resolver,
    textures,
    unfitted,
    view,
)
from tests.methods.states import differences

CLASSES, SIZE = 3, 32
CYCLE = (1, 2, 0)  # class k becomes class CYCLE[k]; "real" moves too
MOST_STOPS = 100


def parameters(*, methods: bool) -> list[Any]:
    names = [name for name, plugin in registry().items() if is_method(plugin) == methods]
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names]


class Case:
    """One method, a small task with classes of unequal size, and what is learnt once for all checks."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.known: Fitted = {}
        every = textures(CLASSES, 24, SIZE, seed=0)
        some = np.random.default_rng(0).permutation(len(every))[:-10]
        self.train, self.val = every.take(some), textures(CLASSES, 12, SIZE, seed=1)

    @cached_property
    def trained(self) -> Any:
        return fit(self.name, self.train, self.val, known=self.known)

    @cached_property
    def prediction(self) -> Prediction:
        prediction: Prediction = self.trained.predict(self.val)
        return prediction

    def resolve(self, **settings: Any) -> Callable[[str], Any]:
        return resolver(self.train, self.val, known=self.known, **settings)


@pytest.fixture(scope="module", params=parameters(methods=True))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp("contract"))


@pytest.fixture(params=parameters(methods=False))
def discoverer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def arrays(prediction: Prediction) -> dict[str, Any]:
    named = {"scores": prediction.scores, "confidence": prediction.confidence, "features": prediction.features}
    return named | {f"variant {name}": values for name, values in prediction.variants.items()}


def assert_close(one: Prediction, other: Prediction) -> None:
    """Equal up to the rounding of float32 sums in another order."""
    assert arrays(one).keys() == arrays(other).keys()
    for name, values in arrays(one).items():
        scale = float(np.abs(values).max())
        np.testing.assert_allclose(arrays(other)[name], values, rtol=1e-3, atol=1e-4 * scale, err_msg=name)


# -- prediction --------------------------------------------------------------------------------------


def test_a_prediction_has_the_declared_shapes_and_types_and_is_finite(case: Case) -> None:
    checked(case.prediction, len(case.val), CLASSES)
    assert isinstance(case.trained.trainable(), int)
    assert case.trained.trainable() >= 0


def test_images_without_any_content_are_judged_too(case: Case) -> None:
    blank = np.stack([np.full((SIZE, SIZE, 3), level, dtype=np.uint8) for level in (0, 127, 255)])
    checked(case.trained.predict(image_set(blank, [0, 0, 0], case.val.classes)), 3, CLASSES)


def test_an_image_is_judged_alike_in_any_order_and_batch_and_whatever_was_drawn_before(case: Case) -> None:
    expected = case.prediction
    order = np.random.default_rng(1).permutation(len(case.val))
    other = copied(case.trained, make_run(resolve=case.resolve(inference_batch=7), inference_batch=7))
    seed_everything(12345)
    shuffled = other.predict(case.val.take(order))
    back = {name: values[np.argsort(order)] for name, values in arrays(shuffled).items()}
    variants = {name: back[f"variant {name}"] for name in shuffled.variants}
    assert_close(expected, Prediction(back["scores"], back["confidence"], back["features"], variants))


def test_a_method_that_was_saved_and_loaded_judges_the_same(case: Case) -> None:
    case.trained.save(case.folder / "saved")
    assert {path.suffix for path in (case.folder / "saved").iterdir()} == {".safetensors", ".json"}
    loaded = registry()[case.name].load(case.folder / "saved", make_run(resolve=case.resolve()))  # type: ignore[attr-defined]
    assert loaded.task == case.trained.task
    assert loaded.config == case.trained.config
    assert differences(arrays(case.prediction), arrays(loaded.predict(case.val))) == []
    assert loaded.trainable() == case.trained.trainable()


def test_views_are_batches_of_all_images_in_their_order(case: Case) -> None:
    for name, batches in case.trained.views(case.val).items():
        shown = torch.cat(list(batches))
        assert shown.shape == (len(case.val), 3, SIZE, SIZE), name
        assert torch.isfinite(shown).all(), name


# -- training ----------------------------------------------------------------------------------------


def test_a_planted_pattern_is_learnt_and_not_lost_again(case: Case) -> None:
    final = accuracy(case.trained, case.val)
    seen = [row["val_accuracy"] for row in case.trained.run.history.rows if "val_accuracy" in row]
    assert final >= 0.9
    assert final >= 0.9 * max(seen, default=0.0)


def test_the_same_seed_gives_the_same_weights_whatever_other_images_hold(case: Case) -> None:
    pixels, (train, val, _) = pooled(case.train, case.val, textures(CLASSES, 4, SIZE, seed=2))
    noisy = noise_outside(pixels, np.concatenate([train, val]))
    seed_everything(12345)
    again = fit(case.name, view(noisy, train, case.train), view(noisy, val, case.val))
    assert differences(case.trained.state(), again.state()) == []


def test_a_training_that_is_stopped_after_every_epoch_and_resumed_equals_an_uninterrupted_one(case: Case) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 0:  # between two epochs
            raise Stop

    for _ in range(MOST_STOPS):
        seed_everything(54321)
        run = make_run(tmp=case.folder / "stopped", resolve=case.resolve(), report=stop, save_every_seconds=0)
        resumed = unfitted(case.name, run)
        try:
            resumed.fit(case.train, case.val)
        except Stop:
            continue
        break
    else:
        pytest.fail(f"not finished after {MOST_STOPS} stops: every start begins anew")
    assert differences(case.trained.state(), resumed.state()) == []
    assert differences(arrays(case.prediction), arrays(resumed.predict(case.val))) == []
    assert figures(resumed) == figures(case.trained)


def figures(method: Any) -> list[dict[str, Any]]:
    """The history less the clock."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in method.run.history.rows]


def test_permuted_labels_permute_the_columns(case: Case) -> None:
    permuted = fit(case.name, relabelled(case.train, CYCLE), relabelled(case.val, CYCLE))
    moved = permuted.predict(case.val).scores.argmax(axis=1)
    followed = np.array(CYCLE)[case.prediction.scores.argmax(axis=1)]
    assert (moved == followed).mean() >= 0.9


@pytest.mark.parametrize(("classes", "per_class", "size"), [(2, 16, 32), (15, 2, 64), (2, 4, 128)])
def test_two_steps_complete_with_two_or_fifteen_classes_at_every_size(
    case: Case, classes: int, per_class: int, size: int
) -> None:
    train, val = (textures(classes, per_class, size, seed=seed) for seed in (0, 1))
    method = fit(case.name, train, val, max_steps=2)
    checked(method.predict(val), len(val), classes)
    assert all(int(row["steps"]) <= 2 for row in method.run.history.rows)


# -- numbers that go wrong ---------------------------------------------------------------------------


def alike(per_class: int = 4) -> ImageSet:
    """Images of all classes that do not differ in anything: every score and feature is equal."""
    labels = np.repeat(np.arange(CLASSES), per_class)
    return image_set(np.full((len(labels), SIZE, SIZE, 3), 127, dtype=np.uint8), labels, CLASSES)


@pytest.mark.parametrize("images", [alike(), textures(CLASSES, 1, SIZE)], ids=["all alike", "one image a class"])
def test_images_that_teach_nothing_still_end_in_finite_answers(case: Case, images: ImageSet) -> None:
    checked(fit(case.name, images, images, max_steps=2).predict(images), len(images), CLASSES)


def test_a_class_without_validation_images_is_judged_like_all_others(case: Case) -> None:
    method = fit(case.name, case.train, case.val.take(case.val.labels != 1), max_steps=2)
    checked(method.predict(case.val), len(case.val), CLASSES)


def test_a_last_batch_of_one_image_is_learnt_from(case: Case) -> None:
    config = registry().choose(case.name).config("smoke")
    size = getattr(config, "batch_size", 1)
    labels = np.arange(size + 1) % CLASSES
    every = textures(CLASSES, size + 1, SIZE)
    rows = [np.flatnonzero(every.labels == label)[: (labels == label).sum()] for label in range(CLASSES)]
    train = every.take(np.concatenate(rows))
    if size >= CLASSES:  # else a batch counts per class, and none is of one image
        assert len(train) % size == 1
    checked(fit(case.name, train, case.val, max_steps=2).predict(case.val), len(case.val), CLASSES)


def test_weights_that_explode_end_the_training_with_the_term_and_the_batch(case: Case) -> None:
    if "learning_rate" not in registry()[case.name].Config.model_fields:
        pytest.skip("nothing is trained")
    with pytest.raises(Diverged, match=r"^loss term '.+' is not finite in epoch 0, batch \d+$"):
        fit(case.name, case.train, case.val, overrides={"learning_rate": 1e30}, max_steps=50)


def test_answers_of_weights_that_are_not_finite_are_refused(case: Case) -> None:
    def resolve(key: str) -> Any:
        return broken(case.resolve()(key), make_run())

    method = broken(case.trained, make_run(resolve=resolve))
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"^predict returned \d+ non-finite values in "):
        checked(method.predict(case.val), len(case.val), CLASSES)


def broken(method: Any, run: Run) -> Any:
    """A copy of a fitted method in whose weights no number is one."""
    copy = copied(method, run)
    copy.restore(poisoned(method.state()))
    return copy


def poisoned(state: Any) -> Any:
    """A state in which no number is one."""
    if isinstance(state, dict):
        return {key: poisoned(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(poisoned(value) for value in state)
    if isinstance(state, torch.Tensor) and state.is_floating_point():
        return torch.full_like(state, torch.nan)
    if isinstance(state, np.ndarray) and state.dtype.kind == "f":
        return np.full_like(state, np.nan)
    return float("nan") if isinstance(state, float) else state


# -- discovery ---------------------------------------------------------------------------------------


def discovered(name: str, per_class: int = 12, size: int = SIZE, **settings: Any) -> tuple[Any, ImageSet]:
    """What a discovery method says about known classes mixed with two more."""
    labelled, val = (textures(CLASSES, per_class, size, seed=seed) for seed in (0, 1))
    pool = textures(CLASSES + 2, per_class, size, seed=2)
    pool = pool.unlabelled(np.random.default_rng(0).permutation(len(pool)))
    resolve = resolver(labelled, val, **settings)
    return unfitted(name, make_run(resolve=resolve, **settings)).discover(labelled, val, pool), pool


def test_discovery_places_every_image_in_a_group(discoverer: str) -> None:
    assert issubclass(registry()[discoverer], DiscoveryMethod)
    found, pool = discovered(discoverer)
    checked_discovery(found, len(pool))
    assert all(isinstance(row, dict) for row in found.log)


def test_discovery_gives_the_same_groups_for_the_same_seed(discoverer: str) -> None:
    first, _ = discovered(discoverer)
    seed_everything(12345)
    second, _ = discovered(discoverer)
    assert (first.groups == second.groups).all()
    assert (first.discovered == second.discovered).all()


@pytest.mark.parametrize(("per_class", "size"), [(4, 64), (2, 128)])
def test_discovery_completes_two_steps_at_every_size(discoverer: str, per_class: int, size: int) -> None:
    found, pool = discovered(discoverer, per_class, size, max_steps=2)
    assert len(found.groups) == len(pool)
    assert found.groups.min() >= 0


def test_discovery_among_images_that_are_all_alike_or_single_still_places_every_image(discoverer: str) -> None:
    for images in (alike(), textures(CLASSES, 1, SIZE)):
        pool = images.unlabelled(np.arange(len(images)))
        method = unfitted(discoverer, make_run(resolve=resolver(images, images, max_steps=2), max_steps=2))
        checked_discovery(method.discover(images, images, pool), len(pool))
