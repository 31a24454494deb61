"""A discovery method that answers at once and notes what it was given."""

from __future__ import annotations

import numpy as np

from datasets.types import ImageSet
from methods.core.method import Discovery, DiscoveryMethod
from methods.core.registry import register
from methods.core.settings import Settings


class SorterConfig(Settings):
    """How to answer."""

    extra: int = 2  # discovered groups
    answer: str = "good"  # or "short", "nowhere"


@register("sorter")
class Sorter(DiscoveryMethod):
    """Nearest class mean; the farthest half goes to new groups by its brightness."""

    title = "Sorter"
    paper = "Nobody, 2000, https://example.org"
    Config = SorterConfig
    VARIANTS = {"short": {"answer": "short"}, "nowhere": {"answer": "nowhere"}, "three": {"extra": 3}}
    config: SorterConfig

    def discover(self, labelled: ImageSet, val: ImageSet, pool: ImageSet) -> Discovery:
        pixels, known = pool.batch(slice(None)).astype(np.float64), labelled.batch(slice(None)).astype(np.float64)
        classes = range(len(labelled.classes))
        means = np.stack([known[labelled.labels == k].mean(axis=0) for k in classes])
        distances = np.sqrt(((pixels[:, None] - means) ** 2).mean(axis=(2, 3, 4)))
        groups = distances.argmin(axis=1)
        far = distances.min(axis=1) > np.median(distances.min(axis=1))
        groups[far] = len(classes) + np.arange(far.sum()) % self.config.extra
        if self.config.answer == "nowhere":
            groups[0] = -1
        if self.config.answer == "short":
            groups = groups[:-1]
        sources = "none" if pool.sources is None else "some"
        seen = {"labels": sorted(set(pool.labels.tolist())), "classes": list(pool.classes), "sources": sources}
        seen |= {"first": str(pool.ids[0]), "last": str(pool.ids[-1])}
        for _ in self.run.epochs(1):
            self.run.record(groups=float(groups.max()))
        return Discovery(groups, np.arange(len(groups)) % 4 > 0, [seen])
