"""From a name on the command line to an open data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datasets.errors import UserError
from datasets.mini.dataset import Mini
from datasets.settings import DataSettings
from datasets.types import Dataset


@dataclass(frozen=True)
class DataRequest:
    """All that a process needs to open the same data set as another one."""

    name: str
    root: Path | None
    settings: DataSettings

    def open(self) -> Dataset:
        """Open the data set.

        Raises:
            UserError: no such data set, or its files are not where they are said to be.
        """
        if self.name == Mini.name:
            return Mini(self.settings)
        raise UserError(f"unknown data set '{self.name}'; use mini")
