"""Keys of rows."""

from __future__ import annotations

from methods.core.key import parse_key, row_key


def test_a_key_names_a_method_and_perhaps_a_variant() -> None:
    assert (row_key("pose", None), row_key("pose", "ce")) == ("pose", "pose@ce")
    assert (parse_key("pose"), parse_key("pose@ce")) == (("pose", None), ("pose", "ce"))


def test_a_label_of_a_variant_may_hold_any_character() -> None:
    assert parse_key("pose@ce-trial1") == ("pose", "ce-trial1")
    assert parse_key("pose@a@b") == ("pose", "a@b")
