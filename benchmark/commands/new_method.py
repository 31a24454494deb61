"""`python -m benchmark new-method NAME`: a plugin that runs, and the file for its tests."""

from __future__ import annotations

import argparse
import keyword
import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.commands.options import CHECKOUT, make_folders
from datasets.console import say
from datasets.core.command import Command
from datasets.core.partial import write_whole
from datasets.core.text import shown
from datasets.errors import UserError

TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True)
class NewMethodOptions:
    """What it is called, and the checkout to write into."""

    name: str
    folder: Path


class NewMethod(Command[NewMethodOptions]):
    """Write a plugin and its test to start from."""

    options = NewMethodOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="in lower case, such as my_method")
        parser.add_argument("--folder", type=Path, default=CHECKOUT, help="checkout to write into")

    def run(self, options: NewMethodOptions) -> int:
        for path in new_method(options.name, options.folder):
            say(f"written: {path}")
        return 0


def new_method(name: str, checkout: Path) -> list[Path]:
    """Write methods/NAME.py and tests/methods/test_NAME.py.

    Returns:
        The two files.

    Raises:
        UserError: the name is no module name, or something of that name exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name) or keyword.iskeyword(name):
        raise UserError(f"{shown(name)} cannot name a method; use lower-case letters, digits and underscores")
    if (checkout / "methods" / name).is_dir():
        raise UserError(f"{checkout / 'methods' / name} is a package; choose another name")
    targets = {
        checkout / "methods" / f"{name}.py": "method.txt",
        checkout / "tests" / "methods" / f"test_{name}.py": "test_method.txt",
    }
    for path in targets:
        if path.exists():
            raise UserError(f"{path} exists; choose another name")
    words = {"{name}": name, "{Class}": "".join(part.capitalize() for part in name.split("_"))}
    make_folders(folder=checkout)
    for path, template in targets.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        write_whole(path, text)
    return list(targets)
