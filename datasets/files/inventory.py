"""What of the images that lists name can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datasets.pixels.store import Files


@dataclass(frozen=True)
class Inventory:
    """The images of a data set at one moment; when some are left out later, another inventory takes its place.

    Attributes:
        files: those that can be used, with their paths: there, and not left out.
        left_out: unreadable ones that the user chose to do without, with the reason.
        missing: those that the lists name and that cannot be used, sorted.
        coverage: share of those named by the lists that can be used, in (0, 1].
    """

    files: Files
    left_out: Mapping[str, str]
    missing: tuple[str, ...]
    coverage: float

    @classmethod
    def taken(cls, named: frozenset[str], found: Files, left_out: Mapping[str, str]) -> Inventory:
        """Compare what the lists name with what lies on disk.

        Args:
            named: the images that coverage speaks of.
            found: the images on disk, with their paths; there may be others among them.
            left_out: those to do without, with the reason.
        """
        files = {name: path for name, path in found.items() if name not in left_out}
        missing = tuple(sorted(named.difference(files)))
        return cls(files, left_out, missing, 1 - len(missing) / len(named))
