"""The commands of `python -m datasets`."""

from __future__ import annotations

from collections.abc import Sequence

from datasets.core.command import door, run_command

COMMANDS = {
    "info": door("datasets.commands.info", "Info", "what a data set holds"),
    "check": door("datasets.commands.check", "Check", "whether a data set is in order"),
    "prepare": door("datasets.commands.prepare", "Prepare", "decode ahead of time"),
    "export": door("datasets.commands.export", "Export", "write images and lists in OSMA's layout"),
    "download": door("datasets.commands.download", "Download", "get the published images"),
}


def main(argv: Sequence[str] | None = None) -> int:
    return run_command("python -m datasets", "Look at data sets and get them ready.", COMMANDS, argv)
