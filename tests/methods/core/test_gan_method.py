from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods.core.batches import Batch, normalise
from methods.core.gan_method import GanConfig, GanMethod, crop_and_flip
from methods.core.network_method import NetworkMethod
from methods.core.training import descend
from tests.methods.data import image_set, make_run, textures


class Diary(GanMethod):
    """Fits a linear layer on mean colours and writes down every update."""

    name = "diary"
    passes = 2  # type: ignore[assignment]  # a property in the base class

    def build(self) -> nn.Module:
        return nn.Linear(3, self.task.num_classes)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"cls": nn.functional.cross_entropy(self.net(batch.images.mean(dim=(2, 3))), batch.labels)}

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        means = images.mean(dim=(2, 3))
        return self.net(means), means

    def prepare_fit(self, train: object) -> None:
        super().prepare_fit(train)  # type: ignore[arg-type]
        self.entries: list[tuple[int, int, float, list[int]]] = []

    def update(self, batch: Batch, lap: int, step: int) -> Mapping[str, Tensor]:
        self.entries.append((lap, step, self.optim.param_groups[0]["lr"], batch.index.tolist()))
        terms = self.loss(batch)
        descend(terms["cls"], self.optim)
        return terms


def diary(max_steps: int | None = None, **settings: object) -> Diary:
    method = Diary(GanConfig(batch_size=2, **settings), make_run(max_steps=max_steps))
    images = textures(2, 7, 32)
    method.fit(images, images)
    return method


def test_an_epoch_is_made_of_full_passes_over_the_training_set_each_in_its_own_order() -> None:
    entries = diary(epochs=1).entries
    assert [(lap, step) for lap, step, _, _ in entries] == [(lap, step) for lap in (0, 1) for step in range(4)]
    passes = [[row for lap, _, _, rows in entries if lap == wanted for row in rows] for wanted in (0, 1)]
    assert [sorted(rows) for rows in passes] == [list(range(14))] * 2
    assert passes[0] != passes[1]


def test_an_epoch_of_given_length_has_that_many_steps_in_each_pass() -> None:
    entries = diary(epochs=2, steps_per_epoch=3).entries
    assert [lap for lap, _, _, _ in entries] == [0, 0, 0, 1, 1, 1] * 2


def test_the_learning_rate_counts_the_batches_of_one_pass() -> None:
    entries = diary(epochs=3, steps_per_epoch=4, learning_rate=1.0, decay_factor=0.5, decay_steps=2).entries
    rates = [rate for lap, _, rate, _ in entries if lap == 0]
    assert rates == [0.5 ** (batch // 2) for batch in range(12)]  # what a single pass an epoch would have had
    assert [rate for lap, _, rate, _ in entries if lap == 1] == [0.25] * 4 + [0.25**2] * 4 + [0.25**3] * 4


def test_a_run_that_is_cut_short_still_sees_both_passes() -> None:
    assert [(lap, step) for lap, step, _, _ in diary(max_steps=2).entries] == [(0, 0), (1, 0)]


def test_optimisers_are_those_of_base_and_of_the_official_code() -> None:
    adam, sgd = diary(epochs=1).optim, diary(epochs=1, optimiser="sgd", learning_rate=0.1).optim
    assert isinstance(adam, torch.optim.Adam)
    assert (adam.defaults["lr"], adam.defaults["weight_decay"]) == (1e-4, 0)
    assert isinstance(sgd, torch.optim.SGD)
    chosen = sgd.defaults["lr"], sgd.defaults["momentum"], sgd.defaults["weight_decay"]
    assert chosen == (0.1, 0.9, 1e-4)


def test_the_gan_fits_the_images_and_depends_on_nothing_but_the_seed() -> None:
    method = diary(epochs=1, noise_size=5, generator_width=1, discriminator_width=1)
    one, other = method.build_gan(), method.build_gan()
    assert one.generator.main[0].in_channels == 5
    assert one.fakes(2, torch.Generator()).shape == (2, 3, 32, 32)
    assert all(map(torch.equal, one.generator.parameters(), other.generator.parameters()))
    adam = one.generator_optim.defaults
    assert (adam["lr"], adam["betas"]) == (2e-4, (0.5, 0.999))


def test_only_the_classifier_is_kept() -> None:
    assert set(diary(epochs=1).state()) == {"net"}
    assert GanMethod.state is NetworkMethod.state


def test_crop_and_flip_cuts_every_image_out_of_its_black_frame() -> None:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (80, 3, 16, 16), dtype=np.uint8))
    images = crop_and_flip(pixels, torch.Generator().manual_seed(0))
    found = set()
    bytes_again = ((images + 1) * 127.5).round().to(torch.uint8)
    assert torch.equal(normalise(bytes_again), images)
    for original, image in zip(pixels, bytes_again.numpy(), strict=True):
        framed = np.pad(original.numpy(), ((0, 0), (4, 4), (4, 4)))
        matches = [
            (row, column, flip)
            for row in range(9)
            for column in range(9)
            for flip in (False, True)
            if np.array_equal(cut(framed, row, column, flip), image)
        ]
        assert len(matches) == 1
        found.add(matches[0])
    assert len(found) > 50  # each image its own draw
    rows, columns, flips = (set(values) for values in zip(*found, strict=True))
    assert flips == {False, True}
    assert len(rows) == len(columns) == 9


def cut(framed: np.ndarray, row: int, column: int, flip: bool) -> np.ndarray:  # type: ignore[type-arg]
    window = framed[:, row : row + 16, column : column + 16]
    return window[:, :, ::-1] if flip else window


@pytest.mark.parametrize(("augmentation", "same"), [("none", True), ("crop_flip", False)])
def test_images_are_augmented_only_on_demand(augmentation: str, same: bool) -> None:
    white = image_set(np.full((4, 32, 32, 3), 255, np.uint8), [0, 0, 1, 1], 2)
    method = Diary(GanConfig(augmentation=augmentation), make_run())
    batch = next(iter(method.batches(white).epoch(0)))
    assert bool((batch.images == 1).all()) is same
