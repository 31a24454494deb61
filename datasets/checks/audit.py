"""Confounds: what a method could use instead of the traces of generators.

- File formats by class: real images in JPEG and generated ones in PNG make "was once a JPEG" mean "real".
- What a small decision tree gets right from the containers alone, without a picture. A benchmark figure says
  little as far as this one reaches.
- Frames of one video in train and test: the same face behind the same background.
- Images that stand in a split twice, a JPEG grid in real images that are PNG now, images of odd sizes: see
  datasets/checks/confounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.checks.confounds.jpeg_grid import Grid, grid_findings, grids
from datasets.checks.confounds.verdict import keep_verdict, pixel_audit
from datasets.checks.container import Container, look_at
from datasets.checks.container_tree import FEATURES, NOT_A_CONFOUND, Score, tree_score
from datasets.checks.findings import Finding
from datasets.checks.published import published
from datasets.checks.video_overlap import shared_units
from datasets.console import progress
from datasets.core.workers import chunk_by_chunk
from datasets.files.choice import chosen
from datasets.files.dataset import FileDataset
from datasets.files.listing import Listing
from datasets.files.parts import parts_of
from datasets.osma.dataset import Osma
from datasets.splits import REAL

SAMPLE = {"train": 200, "test": 100}  # files per class that are looked at
SAVE_ALIKE = "scale and save all classes alike: one size, one format, one quality"
FORMAT_GAP = 0.05  # difference of shares of a format between real and generated images that is worth a warning


@dataclass(frozen=True)
class SplitAudit:
    """One split.

    Attributes:
        formats: images by extension, by class and for the real class by source; of train and test together.
        scores: what the containers give away, by feature.
        videos: (test images whose video is in train, test images) by class, where there are videos.
        grids: the JPEG grid of each class.
    """

    formats: Mapping[str, Mapping[str, int]]
    scores: Mapping[str, Score]
    videos: Mapping[str, tuple[int, int]]
    grids: Mapping[str, Grid]


@dataclass(frozen=True)
class Audit:
    """Every counted split, and what is to be said of it."""

    splits: Mapping[str, SplitAudit]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            name: {
                "formats": {label: dict(counts) for label, counts in split.formats.items()},
                "container": {feature: score._asdict() for feature, score in split.scores.items()},
                "videos": {label: {"shared": n, "test": of} for label, (n, of) in split.videos.items()},
                "grids": {label: grid._asdict() for label, grid in split.grids.items()},
            }
            for name, split in self.splits.items()
        }


def audit(dataset: FileDataset) -> Audit:
    """Look for confounds in every split, between its training images and its closed-set test images.

    A sample of the files is opened; which ones follows from their names alone.
    """
    parts = {split: _present(dataset, split) for split in dataset.split_names}
    samples = {
        split: {role: _sample(listing, role) for role, listing in roles.items()} for split, roles in parts.items()
    }
    wanted = {name for roles in samples.values() for listing in roles.values() for name in listing.names}
    containers = _containers(dataset, sorted(wanted))
    # Elsewhere than in OSMA, any sub-folder may be a scene of its own.
    known_videos = isinstance(dataset, Osma) and not dataset.layout.own_lists
    folders = published().video_folders if known_videos else None
    splits, findings = {}, list[Finding]()
    for split, roles in parts.items():
        sample = samples[split]
        scores = {feature: tree_score(sample["train"], sample["test"], containers, feature) for feature in FEATURES}
        videos = shared_units(roles["train"], roles["test"], folders)
        splits[split] = SplitAudit(_formats(roles.values()), scores, videos, grids(sample.values(), containers))
        findings += _findings(split, splits[split])
    unreadable = sorted(name for name, container in containers.items() if not container.format)
    if unreadable:
        text = f"{len(unreadable):,} of {len(wanted):,} files that were opened are no images, such as {unreadable[0]}"
        findings.append(Finding("audit", dataset.name, "warning", f"{text}; see prepare --unreadable"))
    findings += pixel_audit(dataset)
    keep_verdict(dataset, findings, whole=True)
    return Audit(splits, tuple(findings))


def _present(dataset: FileDataset, split: str) -> dict[str, Listing]:
    parts, files = parts_of(dataset, split), dataset.files
    return {role: parts[role].take(np.flatnonzero([name in files for name in parts[role].names])) for role in SAMPLE}


def _sample(listing: Listing, role: str) -> Listing:
    return listing.take(chosen(listing.names, listing.labels.tolist(), SAMPLE[role]))


def _containers(dataset: FileDataset, names: Sequence[str]) -> dict[str, Container]:
    done = chunk_by_chunk(_look_at_all, [dataset.files[name] for name in names])
    seen = (container for chunk in done for container in chunk)
    return dict(zip(names, progress(seen, len(names), f"opening {len(names):,} files"), strict=True))


def _look_at_all(paths: Sequence[str]) -> list[Container]:
    return [look_at(Path(path)) for path in paths]


def _formats(listings: Iterable[Listing]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for listing in listings:
        for name, label, source in zip(listing.names, listing.labels.tolist(), listing.sources, strict=True):
            origin = listing.classes[label]
            row = f"{REAL}/{source}" if origin == REAL else origin
            counts.setdefault(row, Counter())[Path(name).suffix] += 1
    return {row: dict(sorted(count.items())) for row, count in sorted(counts.items())}


def _findings(split: str, facts: SplitAudit) -> Iterator[Finding]:
    yield _format_finding(split, facts.formats)
    suspicious = [name for name, score in facts.scores.items() if score.beats_chance and name not in NOT_A_CONFOUND]
    if suspicious:
        telling = max(suspicious, key=lambda name: facts.scores[name].real_or_not)
        text = f"{', '.join(suspicious)} tell classes without a picture; by {telling} alone, real or not is "
        share = f"{facts.scores[telling].real_or_not:.1%} right (chance 50%)"
        yield Finding("container", split, "warning", f"{text}{share}; {SAVE_ALIKE}")
    else:
        yield Finding(
            "container", split, "ok", "extension, format, JPEG tables and image size tell no more than luck does"
        )
    if facts.videos:
        shared, images = (sum(values) for values in zip(*facts.videos.values(), strict=True))
        text = f"{shared:,} of {images:,} test images of {', '.join(facts.videos)} share their sub-folder with train"
        remedy = "; give whole sub-folders to one role" if shared else ""
        yield Finding("videos", split, "warning" if shared else "ok", text + remedy)
    yield from grid_findings(split, facts.grids)


def _format_finding(split: str, formats: Mapping[str, Mapping[str, int]]) -> Finding:
    """Compare real and generated images by the format that their extensions stand for."""
    shares = []
    for real in (True, False):
        total: Counter[str] = Counter()
        for row, counts in formats.items():
            if row.startswith(f"{REAL}/") == real:
                for extension, count in counts.items():
                    total[_kind(extension)] += count
        shares.append({kind: count / max(total.total(), 1) for kind, count in total.items()})
    gap = {kind: shares[0].get(kind, 0) - shares[1].get(kind, 0) for kind in sorted({*shares[0], *shares[1]})}
    kind = max(gap, key=lambda name: abs(gap[name]))
    text = f"{shares[0].get(kind, 0):.1%} of real and {shares[1].get(kind, 0):.1%} of generated images are {kind}"
    if abs(gap[kind]) > FORMAT_GAP:
        return Finding("formats", split, "warning", f"{text}; {SAVE_ALIKE}")
    return Finding("formats", split, "ok", text)


def _kind(extension: str) -> str:
    return extension.lower().removeprefix(".").replace("jpeg", "jpg").upper()
