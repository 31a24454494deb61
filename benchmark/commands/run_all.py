"""`python run_all.py`: the door of the process. Its options lie in `options`, what it does in `run`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.commands.options import RunOptions, parser
from datasets.console import exit_status, show_rows, warn
from datasets.core.command import typed

if TYPE_CHECKING:
    from methods.core.registry import Registry


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Raises:
        UserError: the request cannot be run.
    """
    options = typed(RunOptions, parser().parse_args(argv))
    # What the text of `--help` does not wait for, and then what `--list` does not wait for.
    from methods.core.registry import load_registry

    registry = load_registry()
    for broken in registry.broken.values():
        warn(f"method '{broken.name}' is left out: {broken.path}: {broken.reason}")
    if options.list:
        return list_methods(registry)
    from benchmark.commands.run import plan_and_run

    return plan_and_run(options, registry)


def list_methods(registry: Registry) -> int:
    rows = [
        [name, plugin.kind, plugin.title, ", ".join(plugin.VARIANTS), ", ".join(plugin.requires), plugin.paper]
        for name, plugin in registry.items()
    ]
    show_rows("methods", ["name", "kind", "title", "variants", "needs", "paper"], rows)
    studies = [[name, ", ".join(keys)] for name, keys in registry.ablations.items()]
    show_rows("studies (--ablation)", ["name", "rows"], studies)
    return 0


def console_main() -> int:
    """Entry for a process: signals and mistakes become exit statuses."""
    return exit_status(main)
