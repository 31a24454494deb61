"""Settings under the names that they had before, and the presets that methods know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from benchmark.cells.presets import preset_names
from datasets.errors import UserError
from methods.core.key import parse_key
from methods.core.network_method import NetworkConfig
from methods.core.settings import PRESET_NAMES, RunSettings, Settings
from tests.methods.data import make_run, registry, textures, unfitted

# Resolved settings of every row as cells stored them while these names were in use.
FORMER = json.loads((Path(__file__).parents[1] / "former_settings.json").read_text(encoding="utf-8"))
LEADERBOARDS = Path(__file__).parents[3] / "leaderboards"
PRESENT = {
    "items_per_batch": "batch_size", "rounds": "epochs", "steps_per_round": "steps_per_epoch",
    "pretrain_rounds": "pretrain_epochs", "pretrain_steps_per_round": "pretrain_steps_per_epoch",
    "pretrain_batch": "pretrain_batch_size", "first_round_forwards": "first_epoch_forwards",
}  # fmt: skip


class Old(Settings):
    """Its names have changed."""

    FORMER: ClassVar[Mapping[str, str | None]] = {"speed": "rate", "colour": None}
    rate: float = 1.0


class Older(Old):
    """It adds a change of its own."""

    FORMER: ClassVar[Mapping[str, str | None]] = {"turns": "laps"}
    laps: int = 3


# -- real settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", FORMER)
def test_stored_settings_of_every_method_have_the_same_values_under_their_present_names(key: str) -> None:
    config = registry()[parse_key(key)[0]].Config(**FORMER[key])
    assert config.model_dump(mode="json") == {PRESENT.get(name, name): value for name, value in FORMER[key].items()}


def test_the_settings_of_every_committed_cell_can_be_read() -> None:
    cells = [json.loads(path.read_text())["cell"] for path in LEADERBOARDS.glob("*/cells/*/*/cell.json")]
    assert cells
    for cell in cells:
        assert registry()[cell["method"]].Config(**cell["config"]).model_dump() is not None


def test_a_batch_size_that_never_acted_is_dropped_beside_the_one_that_did() -> None:
    stored = {"items_per_batch": 8, "batch_size": 16, "rounds": 5, "steps_per_round": None, "decay_steps": 500}
    config = registry()["dct_cnn"].Config(**stored)
    assert (config.batch_size, config.epochs) == (16, 5)  # type: ignore[attr-defined]


def test_a_setting_that_never_acted_is_refused_where_somebody_asks_for_it_now() -> None:
    with pytest.raises(UserError, match=r"^setting dct_cnn\.items_per_batch never acted and is gone; leave it out$"):
        registry().choose("dct_cnn").config("quick", {"items_per_batch": 8})


@pytest.mark.parametrize("name", ["rounds", "epochs"])
def test_a_former_name_on_the_command_line_outranks_the_preset_as_the_present_one_does(name: str) -> None:
    for key in ("pose", "dna_det", "dct_cnn"):
        assert registry().choose(key).config("smoke", {name: 7}).epochs == 7


def test_a_fitted_method_that_was_saved_under_former_names_is_loaded(tmp_path: Path) -> None:
    images = textures(2, 2, 16)
    method = unfitted("base", make_run(max_steps=1))
    method.fit(images, images)
    method.save(tmp_path)
    facts = json.loads((tmp_path / "method.json").read_text())
    former = {present: name for name, present in PRESENT.items()}
    facts["config"] = {former.get(name, name): value for name, value in facts["config"].items()}
    assert "items_per_batch" in facts["config"]
    (tmp_path / "method.json").write_text(json.dumps(facts))
    assert registry()["base"].load(tmp_path, make_run()).config == method.config  # type: ignore[attr-defined]


# -- the rule ------------------------------------------------------------------------------------------


def test_former_names_are_read_and_never_written() -> None:
    assert Old(speed=2.0) == Old(rate=2.0)  # type: ignore[call-arg]
    assert Old(speed=2.0).model_dump() == {"rate": 2.0}  # type: ignore[call-arg]
    assert Old(colour="red") == Old()  # type: ignore[call-arg]


def test_a_subclass_adds_to_the_former_names_of_its_base() -> None:
    assert Older(speed=2.0, turns=5, colour="red") == Older(rate=2.0, laps=5)  # type: ignore[call-arg]


def test_a_former_name_beside_the_present_one_is_refused_in_one_line_that_names_both() -> None:
    with pytest.raises(UserError, match="'speed' is the former name of the setting 'rate'; give one of them") as error:
        Old(speed=2.0, rate=2.0)  # type: ignore[call-arg]
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="'rounds' is the former name of the setting 'epochs'"):
        registry().choose("pose").config("quick", {"rounds": 5, "epochs": 5})


def test_a_value_is_checked_under_either_name() -> None:
    for name in ("rounds", "epochs"):
        with pytest.raises(UserError, match=r"setting pose\.epochs=0 is refused"):
            registry().choose("pose").config("quick", {name: 0})


def test_a_setting_declared_under_a_former_name_is_refused_where_it_is_declared() -> None:
    with pytest.raises(TypeError, match="Late declares 'rounds', which is called 'epochs' now"):

        class Late(NetworkConfig):
            rounds: int = 5


def test_settings_of_a_plugin_may_be_called_as_those_of_others_were() -> None:
    class Own(Settings):
        rounds: int = 5

    assert Own(rounds=3).rounds == 3


def test_an_unknown_setting_is_still_refused() -> None:
    with pytest.raises(ValueError, match="extra"):
        RunSettings(rounds=3)  # type: ignore[call-arg]


# -- presets -------------------------------------------------------------------------------------------


def test_methods_know_the_presets_that_there_are() -> None:
    assert sorted(PRESET_NAMES) == preset_names()
