"""The audit of a data set for readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.table import Table
from rich.text import Text

from datasets.checks.audit import Audit, SplitAudit
from datasets.checks.findings import merged
from datasets.splits import REAL

Rows = Iterable[tuple[str, tuple[str, ...]]]  # split, other cells


def audit_tables(audit: Audit) -> Iterator[Table]:
    """What containers give away; formats of real sources and of mixed classes; videos, where there are some."""
    if audit.splits:
        yield _table(("split", "known from", "classes right", "chance", "real or not", "chance"), _scores(audit))
        yield _table(("split", "images", "files by extension"), _formats(audit))
    if any(split.videos for split in audit.splits.values()):
        yield _table(("split", "class", "test images", "of videos in train"), _videos(audit))


def _table(heads: tuple[str, ...], rows: Rows) -> Table:
    table = Table(*heads, box=None)
    for split, cells in merged(rows):
        table.add_row(*map(Text, (split, *cells)))
    return table


def _scores(audit: Audit) -> Rows:
    for name, split in audit.splits.items():
        for feature, score in split.scores.items():
            shares = (score.accuracy, score.chance, score.real_or_not, 0.5)
            yield name, (feature, *(f"{share:.1%}" for share in shares))


def _formats(audit: Audit) -> Rows:
    for name, split in audit.splits.items():
        for origin, counts in _format_rows(split):
            yield name, (origin, ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items())))


def _format_rows(split: SplitAudit) -> Iterator[tuple[str, Mapping[str, int]]]:
    rest: dict[str, int] = {}
    for origin, counts in split.formats.items():
        if origin.startswith(f"{REAL}/") or len(counts) > 1:
            yield origin, counts
        else:
            rest |= {kind: rest.get(kind, 0) + count for kind, count in counts.items()}
    if rest:
        yield "all others", rest


def _videos(audit: Audit) -> Rows:
    for name, split in audit.splits.items():
        for origin, (shared, images) in split.videos.items():
            yield name, (origin, f"{images:,}", f"{shared:,}")
