"""What identifies a cell, and what a plan holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.cells.plan import Request, choose_methods
from datasets.settings import DataSettings
from tests.benchmark.toy import Toy, planned, refused, toy_request


@pytest.fixture
def cell(registry):
    return planned(registry, "follower", splits=("split1",))[-1]


def test_a_cell_lies_in_data_set_preset_method_split_and_seed(registry):
    cell = planned(registry, "nearest@raising", splits=("split2",), seeds=(3,))[0]
    assert cell.path.in_results.as_posix() == "toy/smoke/nearest@raising/split2-seed3"
    assert cell.path.of("follower").in_results.as_posix() == "toy/smoke/follower/split2-seed3"
    assert cell.path.in_board.as_posix() == "nearest@raising/split2-seed3"
    assert cell.path.board == "toy-smoke"


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": 2},
        {"fingerprint": "other data"},
        {"method": "another"},
        {"version": 2},
        {"split": "split2"},
        {"seed": 1},
        {"config": {"whom": "somebody"}},
        {"needs": {"nearest": "another hash"}},
        {"needs": {}},
    ],
)
def test_the_hash_changes_with_everything_that_may_change_the_result(cell, change):
    assert replace(cell, **change).hash != cell.hash


@pytest.mark.parametrize(("name", "value"), [("threads", 2), ("max_steps", 3)])
def test_the_hash_changes_with_run_settings_that_matter(cell, name, value):
    assert replace(cell, run={**cell.run, name: value}).hash != cell.hash


@pytest.mark.parametrize(
    ("name", "value"), [("inference_batch", 7), ("resident_megabytes", 1), ("save_every_seconds", 1.0)]
)
def test_the_hash_does_not_change_with_run_settings_that_do_not(cell, name, value):
    assert replace(cell, run={**cell.run, name: value}).hash == cell.hash


@pytest.mark.parametrize("change", [{"preset": "smoke~mine"}, {"variant": "mine"}, {"needed_by": "somebody"}])
def test_the_hash_does_not_change_with_names(cell, change):
    assert replace(cell, **change).hash == cell.hash


def test_the_hash_does_not_depend_on_the_order_of_settings(registry):
    cell = planned(registry, "nearest", splits=("split1",))[0]
    assert replace(cell, config=dict(reversed(cell.config.items()))).hash == cell.hash


def test_a_change_of_a_required_method_reaches_the_hash_of_who_needs_it(registry, monkeypatch):
    before = planned(registry, "follower", splits=("split1",))
    monkeypatch.setattr(registry["nearest"], "version", 2)
    after = planned(registry, "follower", splits=("split1",))
    assert [cell.key for cell in after] == ["nearest", "follower"]
    assert all(old.hash != new.hash for old, new in zip(before, after, strict=True))


def test_settings_come_from_default_preset_variant_and_override_in_this_order(registry):
    cells = planned(registry, "nearest@raising", overrides={"nearest": {"rate": 1}}, variant="fast")
    expected = {"rate": 1.0, "rounds": 3, "raises_on": "rings", "exits_on": ""}
    assert {name: cells[0].config[name] for name in expected} == expected
    assert cells[0].key == "nearest@raising-fast"


def test_changed_settings_without_a_name_get_one_from_the_change(registry):
    (name,) = {cell.key for cell in planned(registry, "nearest", overrides={"nearest": {"rate": 0.001}})}
    assert name.startswith("nearest@custom-")


def test_a_plan_has_every_method_on_every_split_with_every_seed_once(registry):
    cells = planned(registry, "nearest", "follower", "nearest@raising", seeds=(0, 1))
    keys = [(cell.key, cell.split, cell.seed) for cell in cells]
    assert len(keys) == len(set(keys)) == 3 * 2 * 2


def test_what_is_needed_comes_first_and_says_who_needs_it(registry):
    cells = planned(registry, "follower@of_raising", splits=("split1",))
    assert [(cell.key, cell.needed_by) for cell in cells] == [
        ("nearest@raising", "follower@of_raising"),
        ("follower@of_raising", None),
    ]
    assert cells[1].needs == {"nearest@raising": cells[0].hash}


def test_what_was_asked_for_is_needed_by_nobody_wherever_it_stands(registry):
    cells = planned(registry, "follower", "nearest", splits=("split1",))
    assert [(cell.key, cell.needed_by) for cell in cells] == [("nearest", None), ("follower", None)]


def test_a_required_method_keeps_its_own_settings_when_another_row_of_it_is_changed(registry):
    cells = planned(
        registry, "nearest", "follower", splits=("split1",), overrides={"nearest": {"rate": 0.9}}, variant="changed"
    )
    rates = {cell.key: cell.config["rate"] for cell in cells if cell.method == "nearest"}
    assert rates == {"nearest@changed": 0.9, "nearest": 0.5}
    assert next(cell for cell in cells if cell.method == "follower").needs.keys() == {"nearest"}


def test_methods_that_need_one_another_are_refused_with_the_circle(registry):
    with refused("in a circle: follower@of_itself -> follower@of_itself"):
        planned(registry, "follower@of_itself")


def test_a_method_asked_for_twice_is_refused(registry):
    with refused("'nearest' is asked for twice"):
        planned(registry, "nearest", "nearest")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("neares", "unknown method 'neares'; did you mean 'nearest'?"),
        ("nearest@rising", "has no variant 'rising'; did you mean 'raising'?"),
        ("zzz", "unknown method 'zzz'  (all 2: python run_all.py --list)"),
    ],
)
def test_a_misspelt_method_or_variant_is_refused_with_its_neighbour(registry, key, message):
    with refused(message):
        choose_methods(registry, [key], {}, None)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"neares": {"rate": 1}}, "'neares' is neither a method, nor 'data', nor 'run'; did you mean 'nearest'?"),
        ({"dat": {"x": 1}}, "'dat' is neither a method, nor 'data', nor 'run'; did you mean 'data'?"),
        ({"follower": {"whom": "x"}}, "changes a method that is not asked for; add it to --methods"),
    ],
)
def test_a_change_of_nothing_is_refused(registry, overrides, message):
    with refused(message):
        choose_methods(registry, ["nearest"], overrides, None)


def test_a_misspelt_setting_of_a_method_is_refused_with_its_neighbour(registry):
    with refused("nearest has no setting 'rat'; did you mean 'rate'?"):
        planned(registry, "nearest", overrides={"nearest": {"rat": 1}})


def test_a_name_that_the_method_itself_gives_to_a_variant_is_not_for_the_user(registry):
    with refused("--variant raising is a variant that nearest declares"):
        choose_methods(registry, ["nearest"], {"nearest": {"rate": 1}}, "raising")


def test_requests_carry_the_name_of_their_row(registry):
    changed, plain = choose_methods(registry, ["nearest", "follower"], {"nearest": {"rate": 1}}, "fast")
    assert (changed.key, plain.key) == ("nearest@fast", "follower")
    assert plain == Request(registry.choose("follower"))


def test_other_data_settings_are_other_data():
    assert toy_request().open().fingerprint == toy_request().open().fingerprint
    assert Toy(DataSettings(image_size=32, train_per_class=5)).fingerprint != toy_request().open().fingerprint
