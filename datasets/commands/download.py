"""Get the published images, unpack them, and say what is left to do."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from datasets.console import say
from datasets.core.command import Command
from datasets.download.fetch import fetch_record, next_steps
from datasets.download.record import RECORD
from datasets.osma.dataset import Osma


@dataclass(frozen=True)
class DownloadOptions:
    """From where, to where, and what becomes of the archives."""

    dataset: str
    to: Path
    url: str
    keep_packed: bool
    delete_archives: bool


class Download(Command[DownloadOptions]):
    """The files of a published record."""

    description = "Download the images of OSMA (about 50 GB) and unpack them. A stopped download goes on where it was."
    options = DownloadOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("dataset", choices=(Osma.name,), help="what to get")
        parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder to put it into")
        parser.add_argument("--url", default=RECORD, help=f"description of the record (default: {RECORD})")
        parser.add_argument("--keep-packed", action="store_true", help="do not unpack")
        parser.add_argument("--delete-archives", action="store_true", help="delete archives that were unpacked")

    def run(self, options: DownloadOptions) -> int:
        fetch_record(options.url, options.to, not options.keep_packed, options.delete_archives)
        for line in next_steps(options.to):
            say(line)
        return 0
