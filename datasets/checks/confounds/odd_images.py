"""Images that lost what a method looks for: enlarged, cropped to a sliver, of one colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from datasets.checks.findings import Finding
from datasets.files.listing import Listing
from datasets.pixels.ledger import Entry

SHARE_GAP = 0.05  # difference between the shares of classes that is worth a warning
NAMED = 4  # classes that a finding names
USELESS = ("constant", "narrow")
REMEDY = "take them out of the folders, or give larger images"


def odd_counts(parts: Mapping[str, Listing], stored: Mapping[str, Entry]) -> dict[str, Counter[str]]:
    """How many images of a class were odd in which way, and under "" how many there are; by class."""
    counts: dict[str, Counter[str]] = {}
    for listing in parts.values():
        for name, label in zip(listing.names, listing.labels.tolist(), strict=True):
            flags = stored[name].flags if name in stored else ()
            counts.setdefault(listing.classes[label], Counter()).update(("", *flags))
    return counts


def odd_findings(split: str, counts: Mapping[str, Mapping[str, int]]) -> Iterator[Finding]:
    """One colour and slivers in any number; enlarged images where classes differ in their share."""
    told = False
    for flag in USELESS:
        if of_class := _of_class(counts, flag):
            told = True
            yield Finding("odd images", split, "warning", f"{flag} images: {_named(of_class)}; {REMEDY}")
    shares = {name: count["enlarged"] / count[""] for name, count in counts.items()}
    if not any(shares.values()):
        if not told:
            yield Finding("odd images", split, "ok", "none is enlarged, cropped to a sliver or of one colour")
    elif max(shares.values()) - min(shares.values()) > SHARE_GAP:
        text = f"enlarged images: {_named(_of_class(counts, 'enlarged'))}; classes differ in what enlarging leaves"
        yield Finding(
            "odd images", split, "warning", f"{text}; choose a smaller image_size, or scale all classes alike"
        )
    else:
        share = "all images" if min(shares.values()) == 1 else f"{min(shares.values()):.0%} or more of every class"
        text = f"{share} are enlarged; choose a smaller image_size"
        yield Finding("odd images", split, "note", text)


def _of_class(counts: Mapping[str, Mapping[str, int]], flag: str) -> dict[str, tuple[int, int]]:
    return {name: (count[flag], count[""]) for name, count in counts.items() if count[flag]}


def _named(of_class: Mapping[str, tuple[int, int]]) -> str:
    rows = sorted(of_class.items(), key=lambda row: row[1][0], reverse=True)
    named = ", ".join(f"{count:,} of {of:,} of {name}" for name, (count, of) in rows[:NAMED])
    return named + (f" and {len(rows) - NAMED} more classes" if len(rows) > NAMED else "")
