"""The commands of `python -m datasets`."""

from __future__ import annotations

from collections.abc import Sequence

from datasets.commands.check import Check
from datasets.commands.download import Download
from datasets.commands.export import Export
from datasets.commands.info import Info
from datasets.commands.prepare import Prepare
from datasets.core.command import run_command

COMMANDS = (Info(), Check(), Prepare(), Export(), Download())


def main(argv: Sequence[str] | None = None) -> int:
    return run_command("python -m datasets", "Look at data sets and get them ready.", COMMANDS, argv)
