"""Commands get their options typed, and their mistakes are one line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from datasets.core.command import Command, Door, check_path, door, run_command
from datasets.errors import UserError


@dataclass(frozen=True)
class GreetOptions:
    whom: str
    times: int


class Greet(Command[GreetOptions]):
    description = "Say hello, several times."
    options = GreetOptions

    def __init__(self) -> None:
        self.seen: list[GreetOptions] = []

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("whom")
        parser.add_argument("--times", type=int, default=1)

    def run(self, options: GreetOptions) -> int:
        self.seen.append(options)
        return options.times


def greets(greet: Greet) -> dict[str, Door]:
    return {"greet": Door("say hello", lambda: greet), "never": door("no.such.module", "Command", "not opened")}


def test_a_command_gets_its_options_as_its_own_type_and_its_status_is_passed_on() -> None:
    greet = Greet()
    assert run_command("program", "Greets.", greets(greet), ["greet", "you", "--times", "3"]) == 3
    assert greet.seen == [GreetOptions("you", 3)]


def test_the_help_text_lists_commands_and_each_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    for words, expected in ((["--help"], "say hello"), (["greet", "--help"], "Say hello, several times.")):
        with pytest.raises(SystemExit) as ended:
            run_command("program", "Greets.", greets(Greet()), words)
        assert ended.value.code == 0
        assert expected in capsys.readouterr().out


def test_a_command_is_imported_when_it_is_called() -> None:
    with pytest.raises(ModuleNotFoundError):
        run_command("program", "Greets.", greets(Greet()), ["never"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], r"required: COMMAND  \(all options: program --help\)"),
        (["great"], r"invalid choice: 'great'.*  \(all options: program --help\)"),
        (["greet", "you", "--times", "often"], r"invalid int value: 'often'  \(all options: program greet --help\)"),
    ],
)
def test_what_argparse_complains_of_is_a_mistake_of_the_user(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run_command("program", "Greets.", greets(Greet()), words)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 300, r"^--out x+\.\.\.: a name of 300 bytes, no disk holds more than 255; shorten it$"),
        ("a/" + "é" * 128 + "/b", r"a name of 256 bytes, no disk holds more than 255"),
        ("a\0b", r"^--out 'a\\x00b': no file can have this name; correct it$"),
    ],
)
def test_a_path_that_no_disk_can_hold_is_refused_with_its_option(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_path(Path(name), "--out")
    check_path(Path("é" * 127, "x" * 255), "--out")
