"""The commands of `python -m datasets`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from datasets.checks.audit_tables import audit_tables
from datasets.checks.check import Checked, check
from datasets.checks.findings import findings_table
from datasets.commands.export import export
from datasets.commands.info import show_info
from datasets.commands.options import add_data_options, add_size_options, request_of
from datasets.commands.prepare import prepare
from datasets.console import console
from datasets.core.split_list import split_list
from datasets.download.fetch import next_steps, obtain
from datasets.download.record import RECORD
from datasets.errors import UserError
from datasets.mini.dataset import Mini
from datasets.osma.dataset import Osma
from datasets.pixels.disk import readable

VERDICTS = ("clean", "usable, with warnings", "unusable")  # by exit status


def parser() -> argparse.ArgumentParser:
    """Options of every command."""
    words = argparse.ArgumentParser(prog="python -m datasets", description="Look at data sets and get them ready.")
    commands = words.add_subparsers(dest="command", required=True, metavar="COMMAND")

    info = commands.add_parser("info", help="what a data set holds", description="Show splits, classes and counts.")
    add_data_options(info)
    info.add_argument("--split", help="the split to show in full (default: the first)")
    info.add_argument("--picture", type=Path, metavar="PNG", help="also draw one row of images a class")
    info.set_defaults(run=run_info)

    text = "Check lists and images. Exit status: 0 clean, 1 warnings, 2 unusable."
    checking = commands.add_parser("check", help="whether a data set is in order", description=text)
    add_data_options(checking)
    checking.add_argument("--audit", action="store_true", help="also look for what methods could use instead of traces")
    checking.add_argument("--json", type=Path, metavar="FILE", help="also write all findings into a file")
    checking.set_defaults(run=run_check)

    text = "Decode images ahead of time. Give a preset's sizes to get ready for that preset alone."
    preparing = commands.add_parser("prepare", help="decode ahead of time", description=text)
    add_data_options(preparing)
    preparing.add_argument("--splits", help="such as 1, 1-5, split1 or names (default: all)")
    preparing.add_argument("--unreadable", choices=("refuse", "skip"), default="refuse",
                           help="what becomes of images that cannot be read (default: refuse)")  # fmt: skip
    preparing.set_defaults(run=run_prepare)

    text = (
        "Write the embedded data set as image files in the layout of OSMA, to be used with --dataset osma. "
        "Give a preset's sizes to get, under that preset, the same figures from the files."
    )
    exporting = commands.add_parser("export", help="write images and lists in OSMA's layout", description=text)
    exporting.add_argument("--dataset", default=Mini.name, choices=(Mini.name,), help="what to write (default: mini)")
    exporting.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder that is not there yet")
    add_size_options(exporting)
    exporting.set_defaults(run=run_export, data_root=None)

    text = "Download the images of OSMA (about 50 GB) and unpack them. A stopped download goes on where it was."
    downloading = commands.add_parser("download", help="get the published images", description=text)
    downloading.add_argument("dataset", choices=(Osma.name,), help="what to get")
    downloading.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder to put it into")
    downloading.add_argument("--url", default=RECORD, help=f"description of the record (default: {RECORD})")
    downloading.add_argument("--keep-packed", action="store_true", help="do not unpack")
    downloading.add_argument("--delete-archives", action="store_true", help="delete archives that were unpacked")
    downloading.set_defaults(run=run_download)
    return words


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    status: int = options.run(options)
    return status


def run_info(options: argparse.Namespace) -> int:
    request = request_of(options)
    show_info(request.open(), request.settings, options.split, options.picture)
    return 0


def run_check(options: argparse.Namespace) -> int:
    """Show what was found; the exit status says how bad it is."""
    checked = check(request_of(options), options.audit)
    console.print(findings_table(checked.findings))
    for table in audit_tables(checked.audit) if checked.audit is not None else ():
        console.print(table)
    for folder, (missing, listed) in checked.missing.items():
        console.print(f"missing: {missing:,} of {listed:,} in {folder}", markup=False)
    console.print(f"{checked.facts.get('title', options.dataset)}: {VERDICTS[checked.status]}", markup=False)
    if options.json is not None:
        _write_json(checked, options.json)
    return checked.status


def _write_json(checked: Checked, path: Path) -> None:
    try:
        path.write_text(json.dumps(checked.to_json(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--json {path} cannot be written ({error.strerror}); choose another file") from None


def run_prepare(options: argparse.Namespace) -> int:
    dataset = request_of(options).open()
    splits = split_list(options.splits, dataset) or list(dataset.extra_splits)
    prepare(dataset, splits, options.unreadable)
    return 0


def run_export(options: argparse.Namespace) -> int:
    """Write the files, and say how they are used with the same settings."""
    request = request_of(options)
    exported = export(Mini(request.settings), options.to)
    console.print(f"{exported.images:,} images, {readable(exported.bytes)}, in {exported.folder}", markup=False)
    console.print(f"use them: python run_all.py --dataset osma --data-root {exported.folder}", markup=False)
    return 0


def run_download(options: argparse.Namespace) -> int:
    """Get and unpack every file of the record, and say what is left to do."""
    obtain(options.url, options.to, not options.keep_packed, options.delete_archives)
    for line in next_steps(options.to):
        console.print(line, markup=False)
    return 0
