"""YAML of users: every mistake with its line, no key lost in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from datasets.core.strict_yaml import parsed, read_yaml
from datasets.errors import UserError


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int
    names: tuple[str, ...] = ()


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    first: Inner
    many: dict[str, Inner] = {}


def refused(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        parsed(Outer, read_yaml(path))
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message.removeprefix(str(path))


def test_a_right_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("first: {number: 1}\nmany:\n  x: &twin\n    number: 2\n    names: [é]\n  y: *twin\n")
    outer = parsed(Outer, read_yaml(path))
    assert (outer.first.number, outer.many["y"].names) == (1, ("é",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("first:\n  number: 1\nsecond: 2\n", ":3: unknown key 'second'; keys are first, many"),
        (
            "first:\n  nunber: 1\n  number: 1\n",
            ":2: unknown key 'first.nunber'; did you mean 'number'?; keys are number",
        ),
        (
            "first: {number: 1}\nmany:\n  x:\n    number: 1\n    nams: []\n",
            ":5: unknown key 'many.x.nams'; did you mean",
        ),
        ("many: {}\n", ":1: key 'first' is missing; add it"),
        ("first:\n  names: []\n", ":1: key 'first.number' is missing; add it"),
        ("first:\n  number: many\n", ":2: first.number: 'many' is not a whole number; write a whole number"),
        (
            "first:\n  number: 1\n  names:\n  - a\n  - 5\n",
            ':5: first.names.1: 5 is read as a number, not as text; put it in quotes: "5"',
        ),
        ("first: {number: 1}\nfirst: {number: 2}\n", ":2: key 'first' stands twice; keep one of them"),
        ("first:\n  number: 1\n  number: 2\n", ":3: key 'number' stands twice"),
        ("first:\n  - number: [\n", ":3: not valid YAML"),
        ("first: !!python/object/apply:os.getcwd []\n", ":1: not valid YAML (could not determine a constructor"),
        ("- first\n", " is not a mapping of keys to values"),
        ("", " is not a mapping of keys to values"),
        (b"first:\n  number: \xff\n", ":2: byte 0xff is not UTF-8; save the file as UTF-8"),
        ("first: \x00\n", ": not valid YAML"),
        ("[" * 100_000, ": not valid YAML"),
        ("first: &self\n  number: 1\n  names: [*self]\n", ":1: first.names.0: a mapping is not text; write one name"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_a_remedy(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert refused(tmp_path / "a.yaml", content).startswith(message)


def test_files_that_cannot_be_read_or_are_too_large_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")
    assert "more than 4,194,304 bytes" in refused(tmp_path / "large.yaml", b"#" * (5 << 20))


def test_references_that_multiply_do_no_harm(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    bomb = "first: {number: 1}\n" + "\n".join(lines)
    assert "its references multiply without end" in refused(tmp_path / "laughs.yaml", bomb)
