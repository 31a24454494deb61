"""Show what the checks of a data set find; the exit status says how bad it is."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from datasets.checks.audit_tables import audit_tables
from datasets.checks.check import Checked, check
from datasets.checks.findings import findings_table
from datasets.commands.options import DataOptions, add_data_options
from datasets.console import console, say
from datasets.core.command import Command
from datasets.core.partial import whole_file

VERDICTS = ("clean", "usable, with warnings", "unusable")  # by exit status


@dataclass(frozen=True)
class CheckOptions(DataOptions):
    """What is looked at, and a file for all findings."""

    audit: bool
    pixels: bool
    json: Path | None


class Check(Command[CheckOptions]):
    """Checks of lists and images."""

    description = "Check lists and images. Exit status: 0 clean, 1 warnings, 2 unusable."
    options = CheckOptions

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_data_options(parser)
        parser.add_argument(
            "--audit", action="store_true", help="also look for what methods could use instead of traces"
        )
        parser.add_argument(
            "--pixels", action="store_true", help="also decode again what is decoded, and compare every pixel"
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="also write all findings into a file")

    def run(self, options: CheckOptions) -> int:
        checked = check(options.request(), options.audit, options.pixels)
        console.print(findings_table(checked.findings))
        for table in audit_tables(checked.audit) if checked.audit is not None else ():
            console.print(table)
        for folder, (missing, listed) in checked.missing.items():
            say(f"missing: {missing:,} of {listed:,} in {folder}")
        say(f"{checked.facts.get('title', options.dataset)}: {VERDICTS[checked.status]}")
        if options.json is not None:
            _write_json(checked, options.json)
        return checked.status


def _write_json(checked: Checked, path: Path) -> None:
    with whole_file(path, "choose another --json") as unfinished:
        unfinished.write_text(json.dumps(checked.to_json(), indent=1) + "\n", encoding="utf-8")
