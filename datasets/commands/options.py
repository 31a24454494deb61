"""Options that the commands of `python -m datasets` share."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from datasets.catalogue import DataRequest
from datasets.errors import UserError
from datasets.mini.dataset import Mini
from datasets.mini.photographs import CROP
from datasets.settings import DataSettings

SIZES = {
    "image_size": "side of the square images, in pixels (default: 64 for mini, else 128)",
    "train_per_class": "at most so many training images per class (default: all)",
    "val_per_class": "at most so many validation images per class (default: all)",
    "test_per_class": "at most so many test images per class (default: all)",
}


@dataclass(frozen=True)
class SizeOptions:
    """Which data set, and how much of it; None stands for the default."""

    dataset: str
    image_size: int | None
    train_per_class: int | None
    val_per_class: int | None
    test_per_class: int | None

    def settings(self) -> DataSettings:
        """The settings of the data.

        Raises:
            UserError: a size is impossible.
        """
        sizes = {name: getattr(self, name) for name in SIZES if getattr(self, name) is not None}
        if self.dataset == Mini.name:
            sizes.setdefault("image_size", CROP)
        try:
            return DataSettings(**sizes)
        except ValidationError as error:
            mistake = error.errors()[0]
            option = str(mistake["loc"][0]).replace("_", "-")
            reason = mistake["msg"].removeprefix("Input ")
            raise UserError(f"--{option} {mistake['input']}: {reason}; choose another number") from None


@dataclass(frozen=True)
class DataOptions(SizeOptions):
    """The same, and where the files of the data set lie."""

    data_root: Path | None

    def request(self) -> DataRequest:
        """The data set that is asked for.

        Raises:
            UserError: a size is impossible.
        """
        return DataRequest(self.dataset, self.data_root, self.settings())


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Which data set, where it lies, and how much of it."""
    parser.add_argument("--dataset", default=Mini.name, help="mini, osma, or a YAML file of your own (default: mini)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the data set's files")
    add_size_options(parser)


def add_size_options(parser: argparse.ArgumentParser) -> None:
    """The settings of the data that a preset has; give the preset's values to get its images."""
    for name, meaning in SIZES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=meaning)
