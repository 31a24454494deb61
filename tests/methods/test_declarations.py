"""What every registered method says about itself, and that it has tests of its own."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from benchmark.cells.presets import preset_names
from methods.core.method import Kind
from tests.methods.data import is_method, registry

REQUIRED_PRESETS = ("smoke", "quick", "standard")
HERE = Path(__file__).parent
LOG = HERE.parents[1] / "leaderboards" / "mini-quick" / "tuning.csv"
TRIALS = 3  # of the recorded search
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
    assert set(REQUIRED_PRESETS) <= set(choice.plugin.PRESETS) <= set(preset_names())
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


@every_method
def test_every_standing_variant_is_declared(name: str) -> None:
    plugin = registry()[name]
    assert set(plugin.STANDING) <= set(plugin.VARIANTS)


@every_method
def test_every_candidate_of_a_search_is_a_valid_setting(name: str) -> None:
    choice = registry().choose(name)
    for setting, candidates in choice.plugin.SEARCH.items():
        assert len(set(candidates)) == len(candidates) >= 2, setting
        for candidate in candidates:
            assert getattr(choice.config("quick", {setting: candidate}), setting) == candidate


@every_method
def test_what_is_trained_offers_as_many_candidates_as_the_search_of_quick_tries(name: str) -> None:
    plugin = registry()[name]
    # An ablation has the settings of the method that it is one of.
    relatives = [other for other in registry().values() if other.PRESETS is plugin.PRESETS and other.SEARCH]
    if is_method(plugin) and "learning_rate" in plugin.Config.model_fields and plugin not in relatives:
        assert relatives
    elif plugin.SEARCH:
        assert math.prod(len(candidates) for candidates in plugin.SEARCH.values()) >= TRIALS


@every_method
def test_quick_uses_what_its_recorded_search_chose(name: str) -> None:
    log = pd.read_csv(LOG)
    chosen = log[log["chosen"] & (log["method"] == name)]
    assert len(chosen) == bool(registry()[name].SEARCH)
    for settings in chosen["settings"]:
        config = registry().choose(name).config("quick")
        assert {key: getattr(config, key) for key in json.loads(settings)} == json.loads(settings)
