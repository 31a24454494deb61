"""Nested state on disk: what goes in comes out, whole or not at all."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from methods.core.state import load_tree, save_tree
from tests.methods.states import differences


def round_trip(tmp_path: Path, tree: Any) -> Any:
    save_tree(tmp_path / "state.safetensors", tree)
    return load_tree(tmp_path / "state.safetensors")


@pytest.mark.parametrize(
    "tree",
    [
        None,
        True,
        0,
        -1.5,
        float("inf"),
        2**60,
        "grüße, 世界",
        [],
        (),
        {},
        [1, (2.0, [None, (True,)])],
        {"a": {"b": {"c": ()}}},
        {1: "one", 2: {"3": 3}},
        {0: [], "0": ()},
        {"$tensor": "00000"},
        {"": 1, "a.b": 2},
        [torch.arange(3), {"x": torch.zeros(0, 4)}],
        torch.tensor(3.5, dtype=torch.float64),
        torch.tensor([True, False]),
        torch.randn(3, 2).T,
        torch.ones(2, 2, dtype=torch.bfloat16),
        np.arange(6, dtype=np.int64).reshape(2, 3)[:, ::2],
        np.array([1.5, np.nan]),
        np.array([True, False]),
        {"both": (np.ones(1, dtype=np.float32), torch.ones(1))},
    ],
)
def test_a_state_comes_back_with_its_types_and_bits(tmp_path: Path, tree: Any) -> None:
    assert differences(tree, round_trip(tmp_path, tree)) == []


def trained_network() -> tuple[Any, Any, Any]:
    """A network, its optimiser with two groups, and a schedule, after three steps."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    groups: list[dict[str, Any]] = [
        {"params": network[0].parameters()},
        {"params": network[2].parameters(), "lr": 1e-4},
    ]
    optimiser = torch.optim.Adam(groups, lr=1e-2, betas=(0.5, 0.9))
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 2, 0.9)
    for _ in range(3):
        step(network, optimiser, schedule)
    return network, optimiser, schedule


def step(network: nn.Module, optimiser: torch.optim.Optimizer, schedule: Any) -> None:
    optimiser.zero_grad()
    network(torch.arange(20.0).reshape(5, 4)).square().mean().backward()
    optimiser.step()
    schedule.step()


def test_an_optimiser_continues_from_disk_as_if_nothing_had_happened(tmp_path: Path) -> None:
    parts = trained_network()
    saved = round_trip(tmp_path, [part.state_dict() for part in parts])
    fresh = trained_network()
    for _ in range(2):
        step(*fresh)  # elsewhere
    for part, state in zip(fresh, saved, strict=True):
        part.load_state_dict(state)
    step(*parts)
    step(*fresh)
    assert differences([part.state_dict() for part in parts], [part.state_dict() for part in fresh]) == []


def test_the_integer_keys_of_an_optimiser_stay_integers(tmp_path: Path) -> None:
    _, optimiser, _ = trained_network()
    state = round_trip(tmp_path, optimiser.state_dict())
    assert sorted(state["state"]) == [0, 1, 2, 3]
    assert state["param_groups"][0]["betas"] == (0.5, 0.9)


def test_tensors_that_share_memory_are_stored_apart(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    loaded = round_trip(tmp_path, {"whole": whole, "part": whole[2:4], "again": whole})
    loaded["whole"].zero_()
    assert loaded["part"].tolist() == [2, 3]
    assert loaded["again"].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_weight_loses_its_gradient_and_no_more(tmp_path: Path) -> None:
    loaded = round_trip(tmp_path, nn.Parameter(torch.ones(2)))
    assert type(loaded) is torch.Tensor
    assert not loaded.requires_grad


def test_an_ordered_dictionary_keeps_its_order(tmp_path: Path) -> None:
    assert list(round_trip(tmp_path, OrderedDict(b=1, a=2))) == ["b", "a"]


class Opaque:
    pass


@pytest.mark.parametrize(
    "leaf",
    [Opaque(), {1, 2}, b"bytes", 1j, torch.float32, Path("x"), lambda: None],
    ids=lambda leaf: type(leaf).__name__,
)
def test_an_object_is_refused_and_nothing_is_written(tmp_path: Path, leaf: Any) -> None:
    with pytest.raises(TypeError, match=rf"cannot store a {type(leaf).__name__}"):
        save_tree(tmp_path / "state.safetensors", {"inside": [leaf]})
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_file_is_never_visible_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.safetensors"
    save_tree(path, {"version": 1})

    def crash(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        save_tree(path, {"version": 2})
    assert load_tree(path) == {"version": 1}
    assert list(tmp_path.glob("[!.]*")) == [path]


def test_a_new_state_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    for version in (1, 2):
        save_tree(path, {"version": version})
    assert load_tree(path) == {"version": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_a_header_of_any_length_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    for length in (2**63, 10**9, 200):
        path.write_bytes(length.to_bytes(8, "little") + b"{}")
        with pytest.raises(ValueError, match=f"^it declares a header of {length:,} bytes$"):
            load_tree(path)


@pytest.mark.parametrize(
    "outline", ['{"$tensor": "99999"}', '{"$pairs": 5}', '{"$tuple": null}', "[" * 5000, '{"a": 1, "a": 2}', "9" * 5000]
)
def test_an_outline_that_fits_no_tensor_is_a_value_error_of_one_line(tmp_path: Path, outline: str) -> None:
    save_file({"00000": torch.zeros(2)}, tmp_path / "state.safetensors", metadata={"outline": outline})
    with pytest.raises(ValueError, match=r".") as caught:
        load_tree(tmp_path / "state.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="needs pipes")
def test_a_pipe_in_place_of_weights_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a named pipe, not a file"):
        load_tree(tmp_path / "pipe")
