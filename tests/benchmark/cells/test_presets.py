"""Presets and --set."""

from __future__ import annotations

import pytest

from benchmark.cells.presets import custom_name, load_preset, parse_overrides, preset_names
from tests.benchmark.toy import refused


def test_the_four_presets_are_there_and_each_is_valid_for_any_data_set():
    assert preset_names() == ["paper", "quick", "smoke", "standard"]
    for name in preset_names():
        for dataset in ("mini", "osma", "folder/of/mine.yaml"):
            preset = load_preset(name, dataset, {})
            assert preset.key == preset.name == name
            assert preset.run.max_steps is None


def test_the_embedded_data_keep_their_own_size_where_other_data_are_larger():
    assert load_preset("paper", "osma", {}).data.image_size == 128
    assert load_preset("paper", "osma", {}).data.train_per_class is None
    assert load_preset("paper", "mini", {}).data.image_size == 64
    assert load_preset("standard", "mini", {}).data.train_per_class == 400


def test_an_unknown_preset_is_refused_with_those_there_are():
    with refused("unknown preset 'fast'; use one of paper, quick, smoke, standard"):
        load_preset("fast", "mini", {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1e-3", 0.001),
        ("1E-3", 0.001),
        ("2.5e-4", 0.00025),
        (".5e2", 50.0),
        ("1e3", 1000.0),
        ("-1e+2", -100.0),
        ("0.25", 0.25),
        ("true", True),
        ("null", None),
        ("word", "word"),
        ("2ed", "2ed"),
        ("3e", "3e"),
        ("a=b", "a=b"),
        ("[1, 2]", [1, 2]),
        ("", None),
    ],
)
def test_a_value_means_what_it_looks_like(text, value):
    parsed = parse_overrides([f"pose.rate={text}"])["pose"]["rate"]
    assert parsed == value
    assert type(parsed) is type(value)


def test_items_are_gathered_by_owner_and_the_last_of_two_counts():
    items = ["base.width=8", "data.image_size=32", "base.rounds=2", "base.width=16"]
    assert parse_overrides(items) == {"base": {"width": 16, "rounds": 2}, "data": {"image_size": 32}}


@pytest.mark.parametrize("item", ["pose", "pose.width", "width=8", ".width=8", "pose.=8", "=8", ""])
def test_an_item_of_another_form_is_refused_with_the_form(item):
    with refused("write METHOD.KEY=VALUE, data.KEY=VALUE or run.KEY=VALUE"):
        parse_overrides([item])


def test_a_value_that_is_no_yaml_is_refused():
    with refused("--set base.width=[1: '[1' is not a YAML value"):
        parse_overrides(["base.width=[1"])


def test_changed_data_or_run_settings_make_a_place_of_their_own():
    plain = load_preset("smoke", "mini", {})
    changed = load_preset("smoke", "mini", {"data": {"train_per_class": 5}})
    assert changed.key == f"smoke~{custom_name({'data': {'train_per_class': 5}})}"
    assert (changed.name, changed.data.train_per_class) == ("smoke", 5)
    assert changed.data.image_size == plain.data.image_size
    assert load_preset("smoke", "mini", {"run": {"threads": 2}}, "two").key == "smoke~two"


def test_changed_method_settings_leave_the_place_as_it_is():
    assert load_preset("smoke", "mini", {"base": {"width": 8}}, "narrow").key == "smoke"


def test_a_custom_name_depends_on_the_settings_and_not_on_their_order():
    assert custom_name({"a": 1, "b": 2}) == custom_name({"b": 2, "a": 1})
    assert custom_name({"a": 1, "b": 2}) != custom_name({"a": 1, "b": 3})
    assert custom_name({"a": 1}).startswith("custom-")
    assert len(custom_name({"a": 1})) == len("custom-") + 8


def test_a_misspelt_setting_is_refused_with_its_neighbour_and_its_owner():
    with refused("data has no setting 'image_sise'; did you mean 'image_size'?"):
        load_preset("smoke", "mini", {"data": {"image_sise": 32}})
    with refused("run has no setting 'thread'; did you mean 'threads'?"):
        load_preset("smoke", "mini", {"run": {"thread": 1}})


def test_an_impossible_value_is_refused_with_setting_and_value():
    with refused("setting data.image_size=40 is refused: input should be a multiple of 16"):
        load_preset("smoke", "mini", {"data": {"image_size": 40}})


@pytest.mark.parametrize("label", ["a/b", "..", "", "a b", "x@y", "-x", "quick~x"])
def test_a_variant_name_that_could_not_name_a_folder_is_refused(label):
    with refused(f"--variant {label}: use letters, digits"):
        load_preset("smoke", "mini", {"base": {"width": 8}}, label)


def test_a_variant_name_without_a_change_is_refused():
    with refused("--variant wide names what --set changes; add --set"):
        load_preset("smoke", "mini", {}, "wide")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("[" * 5000, "it is nested more than 32 levels deep"),
        ("9" * 5000, "it has a number of 300 digits or more"),
        ("&a [*a]", "it has a reference (& or *), which no setting needs"),
        ("{a: &a [x, x], b: &b [*a, *a], c: [*b, *b]}", "it has a reference (& or *), which no setting needs"),
        ("x" * 10_001, "it has 10,001 characters, no setting needs more than 10,000"),
        ("!!python/name:os.system", "is not a YAML value"),
    ],
)
def test_values_that_are_traps_are_refused_before_they_are_used(value, reason):
    with refused(reason):
        parse_overrides([f"base.width={value}"])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"threads": "8"}, "setting run.threads='8' is text; write 8 without quotes"),
        ({"threads": True}, "setting run.threads=True is refused: write a number"),
    ],
)
def test_text_is_no_number_and_a_truth_value_neither(settings, reason):
    with refused(reason):
        load_preset("smoke", "mini", {"run": settings})


def test_a_variant_name_longer_than_folders_may_be_is_refused():
    with refused("and start with a letter or digit, 100 at most"):
        load_preset("smoke", "mini", {"data": {"train_per_class": 5}}, "x" * 101)
