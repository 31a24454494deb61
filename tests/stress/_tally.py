"""What attacks came to: tried, survived, lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts by sort of attack, and a line about each loss."""

    tried: Counter[str] = field(default_factory=Counter)
    losses: list[tuple[str, str]] = field(default_factory=list)

    def add(self, sort: str, faults: list[str]) -> None:
        """Count an attack; it is survived if nothing is at fault."""
        self.tried[sort] += 1
        if faults:
            self.losses.append((sort, "; ".join(faults)))
            print(f"LOST {sort}: {self.losses[-1][1]}", flush=True)  # noqa: T201 - of a long run, at once

    def report(self) -> int:
        """Print the table; the exit status."""
        lost = Counter(sort for sort, _ in self.losses)
        rows = [(sort, count, count - lost[sort], lost[sort]) for sort, count in sorted(self.tried.items())]
        total = sum(self.tried.values())
        rows.append(("all", total, total - len(self.losses), len(self.losses)))
        print(f"{'sort':<40} {'tried':>6} {'survived':>9} {'lost':>5}")  # noqa: T201
        for sort, tried, survived, without in rows:
            print(f"{sort:<40} {tried:>6} {survived:>9} {without:>5}")  # noqa: T201
        return 1 if self.losses else 0
