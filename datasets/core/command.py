"""Commands of a command line: each adds its options, gets them back typed, and answers with an exit status."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar

from datasets.core.text import shortened, shown
from datasets.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LONGEST_NAME = 255  # bytes of the name of a file or folder

Options = TypeVar("Options", bound="DataclassInstance")


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line, as every other mistake of a user."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}  (all options: {self.prog} --help)")


class Command(ABC, Generic[Options]):
    """One command.

    Attributes:
        description: what it does, on its own page; empty: what its door says.
        options: a frozen dataclass with one field per option, named as argparse names it.
    """

    description: ClassVar[str] = ""
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
    """What argparse read, as the dataclass that the rest of the program knows.

    Raises:
        UserError: a path has a name that no disk can hold.
    """
    for name, value in vars(given).items():
        if isinstance(value, Path):
            check_path(value, f"--{name.replace('_', '-')}")
    return options(**{field.name: getattr(given, field.name) for field in fields(options)})


def check_path(path: Path, option: str) -> None:
    """Refuse a path that could not be looked up.

    Raises:
        UserError: one of its names is too long or holds a zero byte.
    """
    if "\0" in str(path):
        raise UserError(f"{option} {shown(str(path))}: no file can have this name; correct it")
    longest = max((os.fsencode(part) for part in path.parts), key=len, default=b"")
    if len(longest) > LONGEST_NAME:
        reason = f"a name of {len(longest):,} bytes, no disk holds more than {LONGEST_NAME}"
        raise UserError(f"{option} {shortened(str(path))}: {reason}; shorten it")


@dataclass(frozen=True)
class Door:
    """A command before it is asked for: what it does in a few words, and where it lies.

    Only the command that is called is opened, so that nobody waits for the libraries of the others.
    """

    help: str
    open: Callable[[], Command[Any]]


def door(module: str, command: str, help_: str) -> Door:
    """The door of a command class in a module, which is imported when it is opened."""
    return Door(help_, lambda: getattr(importlib.import_module(module), command)())


def run_command(prog: str, description: str, doors: Mapping[str, Door], argv: Sequence[str] | None) -> int:
    """Find the command that the first word names and run it.

    Args:
        prog: how the program is called, for help texts.
        description: what all commands are about.
        doors: commands by name, in the order of the help text.
        argv: the words; None takes those of the process.

    Raises:
        UserError: no such command, its options are wrong, or it cannot be run.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or words[0] not in doors:
        _overview(prog, description, doors).parse_args(words)
        raise RuntimeError("an overview has no command of its own")
    command = doors[words[0]].open()
    parser = Parser(prog=f"{prog} {words[0]}", description=command.description or doors[words[0]].help)
    command.add_options(parser)
    return command.run(typed(command.options, parser.parse_args(words[1:])))


def _overview(prog: str, description: str, doors: Mapping[str, Door]) -> Parser:
    """Says which commands there are, and refuses those that there are not."""
    parser = Parser(prog=prog, description=description)
    places = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, closed in doors.items():
        places.add_parser(name, help=closed.help)
    return parser
