"""Whether what is decoded is what lies on disk, and what lies there without being read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from datasets.checks.findings import Finding
from datasets.console import progress
from datasets.files.dataset import FileDataset
from datasets.files.walk import passed_text
from datasets.pixels.recheck import others_than_stored


def passed_findings(dataset: FileDataset) -> Iterator[Finding]:
    """One line per class."""
    by_class: dict[str, dict[str, int]] = {}
    for (origin, reason), number in dataset.passed_over.items():
        by_class.setdefault(origin, {})[reason] = number
    for origin, passed in sorted(by_class.items()):
        yield Finding("passed over", dataset.name, "note", f"class '{origin}': {passed_text(passed)}")


def passed_line(passed: Mapping[tuple[str, str], int]) -> str:
    """All classes together: numbers by reason."""
    total: dict[str, int] = {}
    for (_, reason), number in passed.items():
        total[reason] = total.get(reason, 0) + number
    return passed_text(total)


def pixel_findings(dataset: FileDataset, read_again: bool) -> Iterator[Finding]:
    """Compare the store with the files that are used.

    Args:
        read_again: decode everything once more; else size, times and marks of the files are compared.
    """
    files = {
        name: dataset.files[name]
        for split in dataset.usable_splits
        for listing in dataset.used(split).values()
        for name in listing.names
    }
    store, where = dataset.store, dataset.name
    changed, needed = store.changed(files), store.need(files).images
    if changed:
        text = f"{len(changed):,} files have changed since they were decoded, such as {changed[0]}; a run decodes them"
        yield Finding("pixels", where, "warning", f"{text} again and computes anew under another recipe")
    if needed > len(changed):
        text = f"{needed - len(changed):,} of {len(files):,} images are not decoded yet at {store.side} px"
        yield Finding("pixels", where, "note", f"{text}; python -m datasets prepare decodes them")
    if read_again:
        again = others_than_stored(store, files)
        others = sorted(progress(again, len(files), f"decoding {len(files):,} images again"))
        unlike = [name for name, is_other in others if is_other]
        if unlike:
            text = (
                f"{len(unlike):,} files hold other pixels than were decoded, though size and times are the same, such"
            )
            yield Finding(
                "pixels", where, "error", f"{text} as {unlike[0]}; delete {store.ledger} to decode everything again"
            )
            return
    if not needed:
        how = (
            "decoded again: all pixels are the same" if read_again else "size and times are those of the decoded files"
        )
        yield Finding("pixels", where, "ok", f"{len(files):,} images, {how}")
