"""Commands of a command line: each adds its options, gets them back typed, and answers with an exit status."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar

from datasets.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line, as every other mistake of a user."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}  (all options: {self.prog} --help)")


class Command(ABC, Generic[Options]):
    """One command.

    Attributes:
        name: the word that calls it.
        help: what it does, in the list of all commands.
        description: the same in full, on its own page.
        options: a frozen dataclass with one field per option, named as argparse names it.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    description: ClassVar[str]
    options: type[Options]

    @abstractmethod
    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add what the command can be told; every option is a field of `options`."""

    @abstractmethod
    def run(self, options: Options) -> int:
        """Do it; the exit status.

        Raises:
            UserError: the request cannot be run.
        """


def typed(options: type[Options], given: argparse.Namespace) -> Options:
    """What argparse read, as the dataclass that the rest of the program knows."""
    return options(**{field.name: getattr(given, field.name) for field in fields(options)})


def run_command(prog: str, description: str, commands: Sequence[Command[Any]], argv: Sequence[str] | None) -> int:
    """Find the command that the first word names and run it.

    Args:
        prog: how the program is called, for help texts.
        description: what all commands are about.
        commands: in the order of the help text.
        argv: the words; None takes those of the process.

    Raises:
        UserError: no such command, its options are wrong, or it cannot be run.
    """
    by_name = {command.name: command for command in commands}
    parser = Parser(prog=prog, description=description)
    places = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in commands:
        command.add_options(places.add_parser(command.name, help=command.help, description=command.description))
    given = parser.parse_args(argv)
    chosen = by_name[given.command]
    return chosen.run(typed(chosen.options, given))
