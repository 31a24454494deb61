"""Torch files of strangers: weights are read, everything else is refused in one line."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from datasets.errors import UserError
from methods.core.released import fingerprints, load_released, read_weights


class Planted:
    """An object whose unpickling leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def refusal(path: Path, network: nn.Module | None = None) -> str:
    with pytest.raises(UserError) as caught:
        read_weights(path) if network is None else load_released(network, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_weights_are_read_from_the_form_in_which_the_authors_save_them(tmp_path: Path, network: nn.Module) -> None:
    weights = {name: torch.rand(value.shape) for name, value in network.state_dict().items()}
    weights["1.num_batches_tracked"] = torch.tensor(7)
    torch.save({"epoch": 19, "model": "Simple_CNN", "state_dict": weights}, tmp_path / "model.pth")
    load_released(network, tmp_path / "model.pth")
    assert all(torch.equal(network.state_dict()[name], value) for name, value in weights.items())


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("bare", [True, False])
def test_a_bare_state_and_names_of_several_devices_are_read_too(
    tmp_path: Path, network: nn.Module, prefix: str, bare: bool
) -> None:
    weights = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    torch.save(weights if bare else {"state_dict": weights}, tmp_path / "model.pth")
    assert list(read_weights(tmp_path / "model.pth")) == list(network.state_dict())


def test_the_older_file_format_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2)}}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read_weights(tmp_path / "old.pth")["a"].tolist() == [1, 1]


def test_an_object_that_runs_a_program_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2)}, "model": Planted(tmp_path / "ran")}, tmp_path / "evil.pth")
    assert "no file of plain weights" in refusal(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"no torch file", b"\x80\x02}q\x00."], ids=["empty", "text", "pickle"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    refusal(tmp_path / "model.pth")


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2000)}}, tmp_path / "model.pth")
    content = (tmp_path / "model.pth").read_bytes()
    (tmp_path / "model.pth").write_bytes(content[: len(content) // 2])
    refusal(tmp_path / "model.pth")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path / "absent.pth")


@pytest.mark.parametrize("content", [[torch.ones(1)], {"state_dict": {}}, {"state_dict": {"a": 1}}, {1: torch.ones(1)}])
def test_content_of_another_form_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "model.pth")
    assert "no weights by name" in refusal(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"0.weight": torch.ones(2, 4)}, "its '0.weight' is 2 x 4, here it is 2 x 3"),
        ({"0.weight": None}, "it has no '0.weight'"),
        ({"2.weight": torch.ones(1)}, "it has '2.weight', which is unknown here"),
        ({"0.bias": torch.tensor([1.0, float("nan")])}, "its '0.bias' is not finite"),
    ],
)
def test_weights_of_another_network_are_refused_with_the_first_difference(
    tmp_path: Path, network: nn.Module, change: dict[str, Any], text: str
) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weights = {name: value for name, value in {**before, **change}.items() if value is not None}
    torch.save({"state_dict": weights}, tmp_path / "model.pth")
    assert text in refusal(tmp_path / "model.pth", network)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def test_fingerprints_are_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "split1").mkdir()
    (tmp_path / "split1/model.pth").write_bytes(b"weights")
    found = fingerprints([tmp_path / "split1/model.pth"], tmp_path)
    assert found == {"split1/model.pth": hashlib.sha256(b"weights").hexdigest()}
