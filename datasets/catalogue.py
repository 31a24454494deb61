"""From a name on the command line to an open data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datasets.core.command import check_path
from datasets.core.text import did_you_mean, shortened
from datasets.errors import UserError
from datasets.folder.dataset import Folder
from datasets.mini.dataset import Mini
from datasets.osma.dataset import Osma
from datasets.settings import DataSettings
from datasets.types import Dataset

NAMES = (Mini.name, Osma.name)
DESCRIPTIONS = (".yaml", ".yml")


@dataclass(frozen=True)
class DataRequest:
    """All that a process needs to open the same data set as another one.

    Attributes:
        name: "mini", "osma", or the path of a YAML file that describes a user's own images.
        root: where the images lie; osma needs it, a description may name its own.
        settings: how much is used, and at which size.
    """

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
        if self.name == Osma.name:
            if self.root is None:
                raise UserError("osma needs --data-root DIR, the folder that holds OSMA/ and split1_test/")
            return Osma(self.settings, self.root)
        if self.name.lower().endswith(DESCRIPTIONS):
            check_path(Path(self.name), "--dataset")
            return Folder(Path(self.name), self.settings, self.root)
        hint = did_you_mean(self.name.lower(), NAMES)
        known = f"{', '.join(NAMES)} or the path of a .yaml file"
        raise UserError(f"unknown data set '{shortened(self.name)}'{hint}; use {known}")
