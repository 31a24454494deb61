"""What every registered method says about itself, and that it has tests of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from methods.core.method import Kind
from tests.methods.data import is_method, registry

REQUIRED_PRESETS = ("smoke", "quick", "standard")
HERE = Path(__file__).parent
TABLE_NAME = re.compile(r"[a-z][a-z0-9-]*")

every_method = pytest.mark.parametrize("name", list(registry()))


def test_every_file_in_methods_can_be_imported() -> None:
    assert {name: broken.reason for name, broken in registry().broken.items()} == {}
    assert len(registry()) >= 1


@every_method
def test_a_method_of_this_repository_has_a_test_file_of_its_own(name: str) -> None:
    if registry()[name].__module__.startswith("methods."):
        assert (HERE / f"test_{name}.py").is_file()


@every_method
def test_a_method_has_a_title_a_kind_and_a_paper_with_its_address(name: str) -> None:
    plugin = registry()[name]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert plugin.title.strip()
    assert plugin.kind in get_args(Kind)
    assert (plugin.kind == "discovery") != is_method(plugin)
    assert re.search(r"\b(19|20)\d\d\b", plugin.paper), "no year"
    assert re.search(r"https://\S+\.\S+", plugin.paper), "no address"
    assert plugin.version >= 1
    assert all(TABLE_NAME.fullmatch(table) for table in plugin.tables)


def test_no_two_methods_share_a_title() -> None:
    titles = [plugin.title for plugin in registry().values()]
    assert len(set(titles)) == len(titles)


@every_method
def test_a_method_has_settings_for_every_preset_and_published_values_without_any(name: str) -> None:
    choice = registry().choose(name)
    assert set(REQUIRED_PRESETS) <= set(choice.plugin.PRESETS)
    for preset in (*choice.plugin.PRESETS, "paper"):
        assert choice.config(preset) is not None
    assert choice.config("paper") == choice.plugin.Config()


@every_method
def test_every_setting_has_a_default(name: str) -> None:
    fields = registry()[name].Config.model_fields
    assert [field for field, info in fields.items() if info.is_required()] == []


@every_method
def test_every_variant_has_valid_settings_that_differ_from_the_published_ones(name: str) -> None:
    for variant in registry()[name].VARIANTS:
        choice = registry().choose(f"{name}@{variant}")
        for preset in (*REQUIRED_PRESETS, "paper"):
            choice.config(preset)
        assert choice.config("paper") != choice.plugin.Config(), variant


@every_method
def test_every_row_of_an_ablation_is_a_method_or_variant_that_exists(name: str) -> None:
    for study, rows in registry()[name].ABLATIONS.items():
        assert len(rows) >= 2, study
        assert len(set(rows)) == len(rows), study
        for row in rows:
            registry().choose(row).config("quick")


def test_no_study_is_declared_twice_with_different_rows() -> None:
    for plugin in registry().values():
        for study, rows in plugin.ABLATIONS.items():
            assert registry().ablations[study] == rows, f"{plugin.name}: {study}"


@every_method
def test_the_requirements_of_a_method_exist_and_do_not_lead_back_to_it(name: str) -> None:
    for variant in (None, *registry()[name].VARIANTS):
        key = name if variant is None else f"{name}@{variant}"
        for preset in (*REQUIRED_PRESETS, "paper"):
            assert key not in requirements(key, preset)


def requirements(key: str, preset: str, path: tuple[str, ...] = ()) -> set[str]:
    """All that a method needs, directly and through others."""
    assert key not in path, f"{key} is needed by itself: {path}"
    choice = registry().choose(key)
    found = set(choice.plugin.needs(choice.config(preset)))
    return found.union(*(requirements(need, preset, (*path, key)) for need in found))
