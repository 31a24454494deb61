"""What a run promises: named seeds, epochs that resume, stages, a log, and watching without touching."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods.core import run as run_module
from methods.core.run import Progress, Run
from tests.methods.data import Stop, make_run, textures
from tests.methods.states import differences

STEPS = 4


class Training:
    """A small training with dropout, batch norm, an optimiser with moments, and two stages."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.batches: list[tuple[str, int]] = []  # trained in this process
        with run.seeded("weights"):
            self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
        self.optim = torch.optim.Adam(self.net.parameters(), lr=0.1)

    def fit(self, epochs: int = 3) -> Training:
        with self.run.stage("first"):
            self.loop("first", epochs)
        with self.run.stage("second"):
            self.optim = torch.optim.Adam(self.net.parameters(), lr=0.01)
            self.loop("second", epochs)
        return self

    def loop(self, stage: str, epochs: int) -> None:
        self.run.track(net=self.net, optim=self.optim)
        for epoch in self.run.epochs(epochs, STEPS):
            self.net.train()
            for step in range(STEPS):
                self.step(stage, epoch * STEPS + step)
            self.run.record(figure=float(epoch))

    def step(self, stage: str, number: int) -> None:
        self.batches.append((stage, number))
        loss = self.net(torch.randn(8, 4)).square().mean()  # global generators, as dropout uses
        self.optim.zero_grad()
        loss.backward()
        self.optim.step()
        self.run.log(loss=loss)

    @property
    def weights(self) -> dict[str, Tensor]:
        return self.net.state_dict()


def figures(run: Run) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history.rows]


def stop_after(count: int) -> Callable[[Progress], None]:
    """Ends a run at its `count`-th break between two epochs."""
    seen = iter(range(1, count + 1))

    def report(progress: Progress) -> None:
        if progress.step == 0 and next(seen) == count:
            raise Stop

    return report


# -- seeds -------------------------------------------------------------------------------------------


def test_equal_names_give_equal_draws_and_other_names_or_seeds_others() -> None:
    def draws(seed: int, *name: str | int) -> tuple[float, float]:
        run = make_run(seed)
        return torch.rand(1, generator=run.generator(*name)).item(), float(run.numpy_generator(*name).random())

    assert draws(0, "a", 1) == draws(0, "a", 1)
    others = [draws(0, "a", 1), draws(1, "a", 1), draws(0, "a", 2), draws(0, "b", 1)]
    assert len(set(others)) == len({value for pair in others for value in pair}) / 2 == 4


def test_seeded_code_draws_the_same_again_and_leaves_the_surroundings_as_they_were() -> None:
    run, built, after = make_run(), [], []
    for _ in range(2):
        seed_global_generators(7)
        with run.seeded("weights"):
            built.append((torch.rand(1).item(), np.random.rand(), random.random()))
        after.append(draw_global_generators())
        run.generator("something else")
    seed_global_generators(7)
    assert built[0] == built[1] != after[0]
    assert after == [draw_global_generators()] * 2


def seed_global_generators(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def draw_global_generators() -> tuple[float, ...]:
    return torch.rand(1).item(), np.random.rand(), random.random()


def test_every_epoch_begins_with_generators_of_its_own() -> None:
    def first_draws(disturb: Callable[[], object]) -> list[tuple[float, ...]]:
        found = []
        for _ in make_run().epochs(3):
            found.append(draw_global_generators())
            disturb()
        return found

    quiet, disturbed = first_draws(lambda: None), first_draws(draw_global_generators)
    assert quiet == disturbed
    assert len(set(quiet)) == 3


# -- images ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4, 5, 6, 100, None])
def test_a_sweep_shows_all_images_once_in_order_as_bytes(size: int | None) -> None:
    images = textures(2, 3, 16)
    shown = list(make_run(inference_batch=4).sweep(images, size))
    assert [len(pixels) for pixels in shown] == [min(size or 4, 6 - at) for at in range(0, 6, size or 4)]
    assert torch.cat(shown).dtype == torch.uint8
    assert (torch.cat(shown).numpy() == images.batch(slice(None)).transpose(0, 3, 1, 2)).all()


def test_batches_know_the_limits_of_the_run() -> None:
    assert len(make_run(max_steps=2).batches(textures(2, 9, 16), size=1)) == 2


# -- epochs ------------------------------------------------------------------------------------------


def test_epochs_are_numbered_from_zero() -> None:
    assert list(make_run().epochs(3)) == [0, 1, 2]


def test_a_trial_run_has_one_epoch_a_stage() -> None:
    training = Training(make_run(max_steps=STEPS)).fit()
    assert training.batches == [(stage, step) for stage in ("first", "second") for step in range(STEPS)]


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6])
def test_a_run_stopped_between_any_two_epochs_continues_as_if_uninterrupted(tmp_path: Path, stop: int) -> None:
    whole = Training(make_run()).fit()
    with pytest.raises(Stop):
        Training(make_run(tmp=tmp_path, report=stop_after(stop), save_every_seconds=0)).fit()
    seed_global_generators(99)
    resumed = Training(make_run(tmp=tmp_path)).fit()
    assert resumed.batches == whole.batches[stop * STEPS :]
    assert differences(whole.weights, resumed.weights) == []
    assert differences(whole.optim.state_dict(), resumed.optim.state_dict()) == []
    assert figures(resumed.run) == figures(whole.run)


def test_a_run_killed_inside_an_epoch_repeats_that_epoch(tmp_path: Path) -> None:
    whole = Training(make_run()).fit()
    killed = Training(make_run(tmp=tmp_path, save_every_seconds=0))
    killed.step = kill_at(killed, ("first", 6))  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        killed.fit()
    resumed = Training(make_run(tmp=tmp_path)).fit()
    assert resumed.batches[0] == ("first", 4)
    assert differences(whole.weights, resumed.weights) == []


def kill_at(training: Training, batch: tuple[str, int]) -> Callable[[str, int], None]:
    def step(stage: str, number: int) -> None:
        if (stage, number) == batch:
            raise KeyboardInterrupt
        Training.step(training, stage, number)

    return step


def test_a_finished_run_that_starts_again_trains_nothing(tmp_path: Path) -> None:
    first = Training(make_run(tmp=tmp_path)).fit()
    again = Training(make_run(tmp=tmp_path)).fit()
    assert again.batches == []
    assert differences(first.weights, again.weights) == []


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Training(make_run(save_every_seconds=0)).fit()
    assert list(tmp_path.iterdir()) == []


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(run_module, "time", clock)
    return clock


def test_work_is_saved_when_it_is_due_and_at_the_end_of_a_stage(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[tuple[str, int]] = []
    monkeypatch.setattr(run_module, "save_tree", lambda path, tree: saved.append((path.stem, tree["epochs"])))
    run = make_run(tmp=tmp_path, save_every_seconds=60)
    for _ in run.epochs(6):
        clock.now += 25
    assert saved == [("fit", 3), ("fit", 6)]


# -- what the harness sees ---------------------------------------------------------------------------


def test_the_report_comes_at_most_once_a_second_and_after_every_epoch(clock: Clock) -> None:
    told: list[Progress] = []
    run = make_run(report=told.append)
    for _ in run.epochs(2, steps=5):
        for _ in range(5):
            clock.now += 0.4
            run.log(loss=torch.tensor(1.0))
    assert [(progress.epoch, progress.step) for progress in told] == [(0, 3), (1, 0), (1, 3), (2, 0)]
    assert {(progress.stage, progress.epochs, progress.steps) for progress in told} == {("fit", 2, 5)}


def test_watching_every_epoch_does_not_change_the_weights() -> None:
    seen: list[tuple[str, int]] = []

    def watch(stage: str, epoch: int) -> None:
        seen.append((stage, epoch))
        watched.net.eval()
        draw_global_generators()
        torch.manual_seed(5)

    alone = Training(make_run()).fit()
    watched = Training(make_run(on_epoch=watch))
    watched.fit()
    assert seen == [(stage, epoch) for stage in ("first", "second") for epoch in range(3)]
    assert differences(alone.weights, watched.weights) == []
    assert figures(alone.run) == figures(watched.run)


def test_a_watcher_leaves_generators_and_the_mode_of_every_module_as_they_were() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.Dropout())

    def watch(stage: str, epoch: int) -> None:
        net.eval()
        seed_global_generators(5)

    run = make_run(on_epoch=watch)
    run.track(net=net)
    for _ in run.epochs(1):
        net.train()
        net[0].eval()
        seed_global_generators(3)
    after = draw_global_generators()
    seed_global_generators(3)
    assert after == draw_global_generators()
    assert [module.training for module in net.modules()] == [True, False, True]


def test_a_required_method_comes_from_the_harness() -> None:
    asked: list[str] = []

    def resolve(name: str) -> Clock:
        asked.append(name)
        return Clock()

    run = make_run(resolve=resolve)  # type: ignore[arg-type]
    assert isinstance(run.fitted("base@ce", Clock), Clock)
    assert asked == ["base@ce"]
    with pytest.raises(LookupError, match="cannot supply the required method 'base'"):
        make_run().fitted("base", Clock)


def test_a_required_method_of_another_kind_is_refused() -> None:
    run = make_run(resolve=lambda name: Clock())  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match=r"^the required method 'base' is a Clock, not a Training$"):
        run.fitted("base", Training)


def test_figures_noted_between_epochs_make_a_row_of_their_own() -> None:
    run = make_run()
    run.record(figure=1.0)
    for _ in run.epochs(1):
        run.record(figure=2.0)
    run.record(figure=3.0)
    assert [(row["epoch"], row["steps"], row["figure"]) for row in run.history.rows] == [(0, 0, n) for n in (1, 2, 3)]
