"""What is to be said of a data set before it is trained on: found once, kept in the cache under the fingerprint.

The pixels' part follows from what decoding left and takes seconds; the whole audit opens files and is made by
`python -m datasets check --audit`, whose verdict takes the place of the smaller one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets.checks.confounds.duplicates import twin_findings, twins
from datasets.checks.confounds.label_folders import label_folder_findings
from datasets.checks.confounds.odd_images import odd_counts, odd_findings
from datasets.checks.findings import Finding, merged
from datasets.core.partial import whole_file
from datasets.errors import UserError
from datasets.files.dataset import FileDataset
from datasets.files.parts import parts_of
from datasets.osma.dataset import Osma
from datasets.pixels.cache import cache_folder

RECIPE = 1  # raise when audits find other things


@dataclass(frozen=True)
class Verdict:
    """What an audit found.

    Attributes:
        findings: warnings alone.
        whole: whether files were opened too.
    """

    findings: tuple[Finding, ...]
    whole: bool


def pixel_audit(dataset: FileDataset) -> Iterator[Finding]:
    """What pixels tell of each other, after decoding what the counted splits use.

    Images that cannot be read are left to those who want them.
    """
    try:
        names = {n for split in dataset.usable_splits for part in dataset.used(split).values() for n in part.names}
        stored = dataset.look_up(sorted(names))
    except UserError as error:  # the disk is too small
        yield Finding("duplicates", dataset.name, "warning", f"not looked for: {error}")
        return
    for split in dataset.usable_splits:
        parts = dataset.used(split)
        yield from twin_findings(split, twins(parts, stored), dataset.files)
        yield from odd_findings(split, odd_counts(parts, stored))


def verdict_for(dataset: FileDataset) -> Verdict:
    """The kept verdict, or that of a first look at labels and pixels."""
    kept = _kept(dataset)
    if kept is not None:
        return kept
    findings = list(pixel_audit(dataset))
    for split in dataset.usable_splits:
        findings += label_folder_findings(split, parts_of(dataset, split), isinstance(dataset, Osma))
    return keep_verdict(dataset, findings, whole=False)


def keep_verdict(dataset: FileDataset, findings: Iterable[Finding], whole: bool) -> Verdict:
    """Remember the warnings among the findings."""
    verdict = Verdict(tuple(finding for finding in findings if finding.status == "warning"), whole)
    path = _path(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps([whole, verdict.findings]), encoding="utf-8", errors="surrogateescape")
    return verdict


def verdict_line(verdict: Verdict) -> str:
    """One line for whoever trains on the data; empty if nothing was found."""
    if not verdict.findings:
        return ""
    found = merged((finding.where, (finding.check, finding.message)) for finding in verdict.findings)
    where, (check, message) = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    all_of_it = "" if verdict.whole else ", which looks at the files too"
    return (
        f"the audit found confounds: {where}: {check}: {message}{more}; see python -m datasets check --audit{all_of_it}"
    )


def _kept(dataset: FileDataset) -> Verdict | None:
    path = _path(dataset)
    try:
        whole, findings = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
        return Verdict(tuple(Finding(*finding) for finding in findings), bool(whole))
    except (OSError, ValueError, TypeError):  # not there, or damaged: looked at again
        return None


def _path(dataset: FileDataset) -> Path:
    return cache_folder() / f"audit{RECIPE}-{dataset.fingerprint[:32]}.json"
