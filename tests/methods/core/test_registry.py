"""Plugins find themselves, a broken one hurts nobody, and a misspelt word gets its neighbour."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from datasets.errors import UserError
from methods.core import registry as registry_module
from methods.core.registry import ENTRY_POINTS, FOLDERS_VARIABLE, METHODS_FOLDER, Registry, load_registry

PLUGIN = '''
from typing import Literal
from pydantic import Field
from methods.core.method import DiscoveryMethod
from methods.core.registry import register
from methods.core.settings import Settings

class ExampleConfig(Settings):
    rate: float = Field(default=1.0, gt=0)
    epochs: int = 20
    mode: Literal["soft", "hard"] = "soft"

@register("{name}")
class Example(DiscoveryMethod):
    """An example."""
    title = "Example"
    Config = ExampleConfig
    PRESETS = {{"quick": {{"epochs": 5, "mode": "hard"}}}}
    VARIANTS = {{"long": {{"epochs": 50}}, "slow": {{"rate": 0.5}}}}
    ABLATIONS = {{"{name}-length": ("{name}", "{name}@long")}}
    def discover(self, labelled, val, pool): ...
'''


@pytest.fixture(autouse=True)
def no_trace_of_planted_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("osma_bench_plugin_", "planted_")):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the registry looks into."""
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path))
    return tmp_path


def plant(folder: Path, name: str, file: str = "example.py") -> None:
    (folder / file).write_text(PLUGIN.format(name=name), encoding="utf-8")


@pytest.fixture
def planted(folder: Path) -> Registry:
    plant(folder, "example")
    return load_registry()


# -- finding -----------------------------------------------------------------------------------------


def test_every_file_in_methods_is_found_without_being_listed() -> None:
    found = load_registry()
    files = {f"methods.{path.stem}" for path in METHODS_FOLDER.glob("[!_]*.py") if path.stem not in found.broken}
    assert {plugin.__module__ for plugin in found.values()} >= files


def test_a_file_in_a_named_folder_is_a_method(planted: Registry) -> None:
    assert planted["example"].title == "Example"
    assert "example" in planted
    assert len(planted) == len(list(planted)) == len(set(planted))


def test_several_folders_may_hold_files_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        plant(folder, f"example_{folder.name}")
    monkeypatch.setenv(FOLDERS_VARIABLE, os.pathsep.join(map(str, folders)))
    assert {"example_one", "example_two"} <= set(load_registry())


def test_a_file_whose_name_starts_with_an_underscore_is_no_method(folder: Path) -> None:
    plant(folder, "example", "_shared.py")
    assert "example" not in load_registry()


def test_a_class_that_a_plugin_file_merely_imports_is_not_registered_again(folder: Path) -> None:
    plant(folder, "example")
    text = "from osma_bench_plugin_example import Example\nclass Unregistered(Example): ...\n"
    (folder / "later.py").write_text(text, encoding="utf-8")
    found = load_registry()
    assert "later" not in found.broken
    assert [name for name, plugin in found.items() if plugin.__name__ in ("Example", "Unregistered")] == ["example"]


def test_an_installed_entry_point_is_a_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "installed", "planted_package.py")
    monkeypatch.syspath_prepend(tmp_path)
    install(monkeypatch, EntryPoint("installed", "planted_package:Example", ENTRY_POINTS))
    assert load_registry()["installed"].__module__ == "planted_package"


def test_an_entry_point_that_leads_nowhere_is_broken_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, EntryPoint("missing", "planted_nothing:Example", ENTRY_POINTS))
    found = load_registry()
    assert len(found) >= 1
    assert "ModuleNotFoundError" in found.broken["missing"].reason


def install(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    def entry_points(group: str) -> list[EntryPoint]:
        return [point for point in points if point.group == group]

    monkeypatch.setattr(registry_module, "entry_points", entry_points)


# -- what goes wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_library_that_is_not_there", "ModuleNotFoundError: No module named 'a_library_that_is_not_there'"),
        ("def f(:", "SyntaxError"),
        ("raise ValueError('first line\\nsecond line')", "ValueError: first line"),
        ("assert False", "AssertionError"),
    ],
)
def test_a_broken_file_is_named_with_its_reason_and_the_others_still_work(
    folder: Path, source: str, reason: str
) -> None:
    before = load_registry()
    plant(folder, "example")
    (folder / "bad.py").write_text(source, encoding="utf-8")
    found = load_registry()
    assert set(found) == {*before, "example"}
    assert set(found.broken) == {*before.broken, "bad"}
    assert found.broken["bad"].reason.startswith(reason)
    assert "\n" not in found.broken["bad"].reason
    assert "Traceback" in found.broken["bad"].trace
    with pytest.raises(UserError, match=r"'bad' could not be imported from .*bad\.py: " + reason.split(":")[0]):
        found["bad"]


def test_settings_for_a_preset_that_does_not_exist_make_a_file_broken(folder: Path) -> None:
    (folder / "bad.py").write_text(PLUGIN.format(name="bad").replace('"quick"', '"quik"'), encoding="utf-8")
    wanted = "ValueError: PRESETS of Example: unknown preset 'quik'; did you mean 'quick'?"
    assert load_registry().broken["bad"].reason.startswith(wanted)


def test_a_setting_that_is_declared_under_a_former_name_makes_a_file_broken(folder: Path) -> None:
    source = PLUGIN.format(name="bad").replace("(Settings)", "(NetworkConfig)").replace("epochs: int", "rounds: int")
    imported = "from methods.core.network_method import NetworkConfig\n"
    (folder / "bad.py").write_text(source.replace("\nclass", f"{imported}\nclass", 1), encoding="utf-8")
    assert "ExampleConfig declares 'rounds', which is called 'epochs' now" in load_registry().broken["bad"].reason


def test_a_broken_file_leaves_no_half_made_module_behind(folder: Path) -> None:
    (folder / "bad.py").write_text("done = True\nraise ValueError", encoding="utf-8")
    load_registry()
    assert "osma_bench_plugin_bad" not in sys.modules


def test_two_files_that_register_one_name_are_both_named(folder: Path) -> None:
    plant(folder, "example", "first.py")
    plant(folder, "example", "second.py")
    with pytest.raises(UserError, match=r"register the method 'example': .*first\.py and .*second\.py"):
        load_registry()


def test_a_plugin_cannot_take_the_name_of_a_method_that_exists(folder: Path) -> None:
    taken = next(iter(load_registry()))
    plant(folder, taken)
    with pytest.raises(UserError, match=f"two files register the method '{taken}'"):
        load_registry()


@pytest.mark.parametrize("kind", ["nothing", "file"])
def test_a_plugin_folder_that_is_not_there_is_told_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    wrong = tmp_path / "plugins"
    if kind == "file":
        wrong.touch()
    monkeypatch.setenv(FOLDERS_VARIABLE, os.pathsep.join((str(tmp_path), str(wrong))))
    with pytest.raises(UserError) as error:
        load_registry()
    assert str(error.value) == f"OSMA_BENCH_PLUGINS names {wrong}, which is no folder; correct the variable or unset it"


def test_a_separator_too_many_names_no_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(folder, "example")
    monkeypatch.setenv(FOLDERS_VARIABLE, f"{os.pathsep}{folder}{os.pathsep}")
    assert "example" in load_registry()


# -- choosing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["exmaple", "exampel", "examples"])
def test_a_misspelt_method_gets_its_neighbour_in_one_line(planted: Registry, wrong: str) -> None:
    with pytest.raises(UserError, match=rf"unknown method '{wrong}'; did you mean 'example'\?") as error:
        planted.choose(wrong)
    assert "\n" not in str(error.value)


def test_a_method_like_no_other_gets_no_suggestion(planted: Registry) -> None:
    with pytest.raises(UserError, match=r"^unknown method 'qqqqqqq'  \("):
        planted.choose("qqqqqqq")


def test_a_key_names_a_method_or_one_of_its_variants(planted: Registry) -> None:
    assert (planted.choose("example").variant, planted.choose("example").key) == (None, "example")
    assert (planted.choose("example@long").variant, planted.choose("example@long").key) == ("long", "example@long")


def test_a_misspelt_variant_gets_its_neighbour_and_the_list(planted: Registry) -> None:
    with pytest.raises(UserError, match=r"no variant 'lnog'; did you mean 'long'\?; it has long, slow"):
        planted.choose("example@lnog")


def test_a_declared_study_is_found_by_its_name(planted: Registry) -> None:
    assert planted.ablations["example-length"] == ("example", "example@long")


# -- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "preset", "overrides", "expected"),
    [
        ("example", "paper", {}, (1.0, 20, "soft")),
        ("example", "quick", {}, (1.0, 5, "hard")),
        ("example@long", "quick", {}, (1.0, 50, "hard")),
        ("example@long", "quick", {"epochs": 7}, (1.0, 7, "hard")),
        ("example@slow", "paper", {"mode": "hard"}, (0.5, 20, "hard")),
    ],
)
def test_settings_are_defaults_then_preset_then_variant_then_overrides(
    planted: Registry, key: str, preset: str, overrides: dict[str, object], expected: tuple[object, ...]
) -> None:
    config = planted.choose(key).config(preset, overrides)
    assert (config.rate, config.epochs, config.mode) == expected


@pytest.mark.parametrize("wrong", ["quik", "quicks"])
def test_a_misspelt_preset_gets_its_neighbour_and_the_list(planted: Registry, wrong: str) -> None:
    wanted = rf"^unknown preset '{wrong}'; did you mean 'quick'\?; use one of paper, quick, smoke, standard$"
    with pytest.raises(UserError, match=wanted):
        planted.choose("example").config(wrong)


def test_a_setting_that_does_not_exist_gets_its_neighbour_and_the_list(planted: Registry) -> None:
    wanted = r"example has no setting 'epohcs'; did you mean 'epochs'\?; it has rate, epochs, mode"
    with pytest.raises(UserError, match=wanted):
        planted.choose("example").config("quick", {"epohcs": 3})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"rate": 0}, "example.rate=0"),
        ({"epochs": 2.5}, "example.epochs=2.5"),
        ({"mode": "loud"}, "example.mode='loud'"),
    ],
)
def test_an_impossible_value_is_refused_in_one_line_that_names_it(
    planted: Registry, values: dict[str, object], named: str
) -> None:
    with pytest.raises(UserError, match="is refused") as error:
        planted.choose("example").config("quick", values)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_cannot_be_changed_once_they_are_made(planted: Registry) -> None:
    with pytest.raises(ValueError, match="frozen"):
        planted.choose("example").config("quick").epochs = 3
