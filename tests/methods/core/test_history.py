"""The log of a training: a row per epoch, and a stop as soon as a loss term is not a number."""

from __future__ import annotations

import pytest
import torch

from methods.core.history import CHECK_EVERY, Diverged
from methods.core.run import Run
from tests.methods.data import make_run


def test_the_history_has_a_row_an_epoch_with_the_mean_of_every_term_and_the_noted_figures() -> None:
    run = make_run()
    for epoch in run.epochs(2):
        for step in range(3):
            run.log(a=torch.tensor(float(step + epoch)), **({"b": torch.tensor(4.0)} if step == 1 else {}))
        run.record(val_accuracy=0.5)
    rows = [{"stage": "fit", "epoch": e, "steps": 3, "a": 1.0 + e, "b": 4.0, "val_accuracy": 0.5} for e in (0, 1)]
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in run.history.rows] == rows
    assert all(float(row["seconds"]) >= 0 for row in run.history.rows)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("batch", [0, 2, CHECK_EVERY, CHECK_EVERY + 3])
def test_a_term_that_is_not_finite_stops_the_run_with_its_name_epoch_and_batch(value: float, batch: int) -> None:
    seen: list[tuple[int, int]] = []

    def train(run: Run) -> None:
        for epoch in run.epochs(2):
            for step in range(3 * CHECK_EVERY):
                seen.append((epoch, step))
                wrong = seen[-1] == (1, batch)
                run.log(real=torch.tensor(1.0), fake=torch.tensor(value if wrong else 1.0))

    with pytest.raises(Diverged, match=rf"^loss term 'fake' is not finite in epoch 1, batch {batch}$"):
        train(make_run())
    assert seen[-1][1] - batch < CHECK_EVERY


def test_the_batch_is_named_rightly_for_a_term_that_not_every_batch_has() -> None:
    def train(run: Run) -> None:
        for _ in run.epochs(1):
            for step in range(9):
                rare = {"rare": torch.tensor(float("nan") if step == 6 else 1.0)} if step % 3 == 0 else {}
                run.log(often=torch.tensor(1.0), **rare)

    with pytest.raises(Diverged, match=r"term 'rare' is not finite in epoch 0, batch 6$"):
        train(make_run())


def test_a_logged_term_does_not_hold_on_to_its_graph() -> None:
    run = make_run()
    weight = torch.ones(1, requires_grad=True)
    for _ in run.epochs(1):
        run.log(loss=(weight * 2).sum())
        assert not any(value.requires_grad for values in run.history._terms.values() for value in values)
