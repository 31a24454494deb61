"""The one place that writes to the terminal; everything above prints through it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from tabulate import tabulate

from datasets.columns import fitting, narrowed
from datasets.errors import UserError
from datasets.signals import Ended, orderly_end

Item = TypeVar("Item")

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

REFUSED = 2  # exit status of a request that cannot be run


def say(text: str) -> None:
    """One line on standard output, as it is."""
    console.print(text, markup=False)


def note(text: str) -> None:
    """One line on standard error, where it does not mix with results."""
    errors.print(text, markup=False)


def warn(text: str) -> None:
    """The same of something to be aware of."""
    note(f"warning: {text}")


def show_rows(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A small table, of as many columns as the terminal is wide; where there is none, one line per row, all of it."""
    if not console.is_terminal:
        say(f"{title}\n{tabulate(rows, headers, tablefmt='plain', disable_numparse=True)}\n")
        return
    count = fitting([headers, *rows], console.width, gap=2)
    table = Table(*headers[:count], title=title, title_justify="left", box=None)
    for row in rows:
        table.add_row(*map(escape, row[:count]))
    console.print(table)
    if count < len(headers):
        missing = ", ".join(headers[count:])
        say(f"left out for want of width: {missing}; send the output to a file, or widen the terminal, to see all")


def show_markdown(text: str, place: str = "") -> None:
    """A Markdown page, rendered as wide as the terminal allows, or as it is where there is none.

    Args:
        place: where the whole page lies.
    """
    if not console.is_terminal:
        console.print(text, markup=False)
        return
    from rich.markdown import Markdown  # its parser and highlighter are half of what rich costs

    shown, lost = narrowed(text, console.width)
    console.print(Markdown(shown), markup=False)
    if lost:
        say(f"up to {lost} columns of a table are left out for want of width; all are in {place or 'a wider terminal'}")


def progress_bar(transient: bool = False) -> Progress:
    """A bar with counts, elapsed and remaining time; silent when the output is not a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=transient,
        disable=not errors.is_terminal,
    )


def byte_bar() -> Progress:
    """The same for bytes, with their rate."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,
    )


def progress(items: Iterable[Item], total: int | None, title: str) -> Iterator[Item]:
    """Pass items on while a bar counts them."""
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=title)


def exit_status(main: Callable[[], int | None]) -> int:
    """Run a command; a user's mistake becomes one line on stderr and status 2, a signal to end 128 and its number."""
    replace_what_cannot_be_shown()
    try:
        with orderly_end():
            return main() or 0
    except UserError as error:
        note(f"error: {error}")
        return REFUSED
    except KeyboardInterrupt:
        note("interrupted; what was finished is kept")
        return 130
    except Ended as ended:
        return ended.status
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def replace_what_cannot_be_shown() -> None:
    """Characters that a terminal lacks become "?": a redirect on Windows is cp1252, and LANG=C knows ASCII alone."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
