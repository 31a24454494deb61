"""Figures from papers, kept as data and shown with rows of the same data set only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from benchmark.boards.columns import FIGURES
from benchmark.metrics.clustering import CLUSTER_METRICS
from datasets.core.strict_yaml import read_yaml
from datasets.core.text import did_you_mean
from datasets.errors import UserError

PUBLISHED = "published.yaml"
KEYS = (*FIGURES, *CLUSTER_METRICS)


class PublishedRow(BaseModel):
    """One row of a published table.

    Attributes:
        title: as in our tables.
        figures: by key of the column, in per cent.
        k, number: clusters of a discovery row, and who asked for so many.
        splits: that it is averaged over, where that is stated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    figures: Mapping[str, float]
    k: int | None = None
    number: str | None = None
    splits: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, row: Any) -> Any:
        """In the file the figures stand directly in the row."""
        if not isinstance(row, dict) or "figures" in row:
            return row
        facts = {name: value for name, value in row.items() if name in cls.model_fields}
        for name in set(row) - set(facts) - set(KEYS):
            raise ValueError(f"there is no column '{name}'{did_you_mean(str(name), KEYS)}")
        return {**facts, "figures": {name: value for name, value in row.items() if name not in facts}}

    def text(self, figure: str, missing: str) -> str:
        """A figure as tables show it."""
        return f"{self.figures[figure]:.2f}" if figure in self.figures else missing


Tables = Mapping[str, list[PublishedRow]]  # by the name of the table
_FILE: TypeAdapter[dict[str, dict[str, list[PublishedRow]]]] = TypeAdapter(dict[str, dict[str, list[PublishedRow]]])


def published_tables(leaderboards: Path) -> Mapping[str, Tables]:
    """Published tables by data set; nothing where there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    path = leaderboards / PUBLISHED
    if not path.is_file():
        return {}
    try:
        return _FILE.validate_python(read_yaml(path).value or {})
    except ValidationError as error:
        raise UserError(f"{path} is damaged ({_first_mistake(error)}); correct it") from None


def _first_mistake(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
