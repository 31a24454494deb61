"""The commands of `python -m benchmark`: one table, of which a call imports the command that it names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets.core.command import Command, Parser, typed

PROGRAM = "python -m benchmark"


@dataclass(frozen=True)
class Door:
    """Where a command lies, and what it does in a few words."""

    module: str
    command: str
    help: str

    def open(self) -> Command[Any]:
        """Import the command; the others' libraries are not waited for."""
        command: Command[Any] = getattr(importlib.import_module(f"benchmark.commands.{self.module}"), self.command)()
        return command


COMMANDS = {
    "evaluate": Door("stored", "Evaluate", "compute every evaluation again from stored predictions"),
    "leaderboard": Door("stored", "WriteBoards", "write the boards from stored cells"),
    "figures": Door("stored", "DrawFigures", "draw the pictures of the boards"),
    "verify": Door("stored", "Verify", "check that hashes and figures follow from what cells hold"),
    "cluster": Door("cluster", "ClusterCells", "cluster stored features, for the discovery table"),
    "similarity": Door("similarity", "CompareViews", "compare the views of methods, such as augmentation models"),
    "agreement": Door("agreement", "CompareRankings", "compare the boards' rankings with published ones"),
    "submit": Door("stored", "Submit", "copy this machine's cells into the leaderboards folder, to be committed"),
    "predict": Door("predict", "Predict", "attribute images of your own by a fitted cell"),
    "tune": Door("tune", "Tune", "search the settings of a preset on validation images"),
    "new-method": Door("new_method", "NewMethod", "write a plugin and its test to start from"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first word names; its options are a contract, as those of run_all.py.

    Raises:
        UserError: no such command, its options are wrong, or it cannot be run.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or words[0] not in COMMANDS:
        _overview().parse_args(words)
        raise RuntimeError("the overview has no command of its own")
    door = COMMANDS[words[0]]
    command = door.open()
    parser = Parser(prog=f"{PROGRAM} {words[0]}", description=door.help)
    command.add_options(parser)
    return command.run(typed(command.options, parser.parse_args(words[1:])))


def _overview() -> Parser:
    """Says what there is, and refuses what there is not."""
    parser = Parser(prog=PROGRAM, description="What is made from stored cells, and what leads to them.")
    places = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, door in COMMANDS.items():
        places.add_parser(name, help=door.help)
    return parser
