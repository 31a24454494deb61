"""Whether a data set is in order: its lists, its images, and whether it is the published one.

Lists are checked split by split and file by file, so that one look tells all that is wrong; loading stops at the first
mistake. What is wrong with the images of good lists limits what can be said from them, and is a warning as long as
every split can still be used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from datasets.catalogue import DataRequest
from datasets.checks.audit import Audit, audit
from datasets.checks.check_lists import annotation_findings, listing_findings
from datasets.checks.confounds.label_folders import label_folder_findings
from datasets.checks.findings import Finding, attempted, exit_of
from datasets.checks.pixels import passed_findings, pixel_findings
from datasets.checks.published import published, published_findings
from datasets.errors import UserError
from datasets.files.dataset import FileDataset, percent
from datasets.files.parts import parts_of
from datasets.osma.dataset import Osma
from datasets.pixels.ledger import stamp_of
from datasets.types import Dataset

FOLDER_DEPTH = 3  # of the folders that missing images are counted by: fake/ProGAN/bus


@dataclass(frozen=True)
class Checked:
    """All that was found.

    Attributes:
        facts: name, title, fingerprint and coverage, as far as they can be had.
        findings: in the order of the checks.
        missing: (missing, listed) images by folder, for folders that lack some.
        audit: None if it was not asked for, or the data cannot be used.
    """

    facts: Mapping[str, Any]
    findings: tuple[Finding, ...]
    missing: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    audit: Audit | None = None

    @property
    def status(self) -> int:
        """0 clean, 1 warnings, 2 unusable."""
        return exit_of(self.findings)

    def to_json(self) -> dict[str, Any]:
        """For programs; `findings` as in the table."""
        return {
            **self.facts,
            "status": self.status,
            "findings": [finding._asdict() for finding in self.findings],
            "missing": {folder: {"missing": gone, "listed": of} for folder, (gone, of) in self.missing.items()},
            "audit": None if self.audit is None else self.audit.to_json(),
        }


def check(request: DataRequest, with_audit: bool = False, read_again: bool = False) -> Checked:
    """Check a data set; mistakes of the data are findings, not exceptions.

    Args:
        with_audit: also look for confounds, which decodes the images and opens a sample of the files.
        read_again: decode all images that are used once more, and compare their pixels with those that are stored.
    """
    facts: dict[str, Any] = {"dataset": request.name}
    try:
        dataset = request.open()
    except UserError as error:
        return Checked(facts, (Finding("opens", request.name, "error", str(error)),))
    findings = [Finding("opens", dataset.name, "ok", f"splits {', '.join(dataset.all_splits)}")]
    findings += list_findings(dataset)
    if exit_of(findings) == 2:
        findings.append(Finding("images", dataset.name, "note", "not looked at before the lists are in order"))
        return Checked(facts, tuple(findings))
    if not isinstance(dataset, FileDataset):
        findings.append(Finding("images", dataset.name, "ok", "made by this program, not read from files"))
        return Checked(facts | _identity(dataset), tuple(findings))
    try:
        findings += image_findings(dataset)
        findings += passed_findings(dataset)
        findings += pixel_findings(dataset, read_again)
    except UserError as error:  # a link that leads out of the root
        findings.append(Finding("images", dataset.name, "error", str(error)))
        return Checked(facts, tuple(findings))
    looked_at = audit(dataset) if with_audit and exit_of(findings) < 2 else None
    findings += looked_at.findings if looked_at is not None else ()
    facts |= _identity(dataset)
    return Checked(facts, tuple(findings), missing_by_folder(dataset), looked_at)


def _identity(dataset: Dataset) -> dict[str, Any]:
    """The fingerprint is None where images would have to be decoded for it."""
    fingerprint = dataset.known_fingerprint if isinstance(dataset, FileDataset) else dataset.fingerprint
    return {"title": dataset.title, "fingerprint": fingerprint, "coverage": dataset.coverage}


def list_findings(dataset: Dataset) -> list[Finding]:
    """Which image is in which role of which split, and what it is said to be."""
    if isinstance(dataset, Osma):
        findings, files = annotation_findings(dataset.layout)
        findings += published_findings(files, published())
    else:
        findings = [finding for split in dataset.all_splits for finding in listing_findings(dataset, split)]
    if exit_of(findings) < 2 and isinstance(dataset, FileDataset):
        for split in dataset.all_splits:
            findings += label_folder_findings(split, parts_of(dataset, split), isinstance(dataset, Osma))
    return findings


def image_findings(dataset: FileDataset) -> Iterator[Finding]:
    """Whether the listed images are there and enough for every split.

    Raises:
        UserError: a link leads out of the root.
    """
    name, missing = dataset.name, dataset.missing
    if missing:
        share = percent(dataset.coverage)
        text = f"{share} of the images are there; {len(missing):,} are not, such as {missing[0]}; every table says so"
        yield Finding("images", name, "warning", text)
    else:
        yield Finding("images", name, "ok", f"all {len(dataset.files):,} are there")
    for split in dataset.all_splits:
        yield from attempted("usable", split, [partial(dataset.need, [split])], "every class has images")
    empty = sorted(image for image, path in dataset.files.items() if stamp_of(path).size == 0)
    if empty:
        text = f"{len(empty):,} files are empty, such as {empty[0]}; get them again, or prepare --unreadable skip"
        yield Finding("empty files", name, "warning", text)
    yield from _spelling(name, dataset.files)


def _spelling(where: str, files: Mapping[str, str]) -> Iterator[Finding]:
    """What other disks and unpackers make of names."""
    renamed = [name for name, path in files.items() if PurePosixPath(name).name != PurePosixPath(path).name]
    if renamed:
        text = f"{len(renamed):,} images are called with '_' for ':', such as {min(renamed)}; they are found"
        yield Finding("spelling", where, "note", text)
    alike = Counter(name.casefold() for name in files)
    twins = sorted(name for name in files if alike[name.casefold()] > 1)
    if twins:
        text = f"names differ by case alone, such as {twins[0]}; on some disks one file replaces the other"
        yield Finding("spelling", where, "warning", text)


def missing_by_folder(dataset: FileDataset) -> dict[str, tuple[int, int]]:
    """(missing, listed) images of each folder that lacks some, by its first parts."""
    if not dataset.missing:
        return {}
    missing = Counter(map(_folder, dataset.missing))
    listed = Counter(map(_folder, set(dataset.named(dataset.counted_splits))))
    return {folder: (count, listed[folder]) for folder, count in sorted(missing.items())}


def _folder(name: str) -> str:
    parts: Sequence[str] = name.split("/")[:-1]
    return "/".join(parts[:FOLDER_DEPTH])
