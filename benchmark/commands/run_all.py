"""`python run_all.py`: the door of the process. Its options lie in `options`, what it does in `run`."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from types import FrameType

from benchmark.commands.options import RunOptions, parser
from datasets.console import exit_status
from datasets.core.command import typed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Raises:
        UserError: the request cannot be run.
    """
    options = typed(RunOptions, parser().parse_args(argv))
    from benchmark.commands.run import run_all  # every method and torch, which `--help` does not wait for

    return run_all(options)


class Terminated(BaseException):
    """The process was asked to end; what is finished is kept."""


def console_main() -> int:
    """Entry for a process: signals and mistakes become exit statuses."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        return exit_status(main)
    except Terminated:
        return 128 + signal.SIGTERM
