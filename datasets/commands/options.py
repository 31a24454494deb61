"""Options that the commands of `python -m datasets` share."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydantic import ValidationError

from datasets.catalogue import DataRequest
from datasets.errors import UserError
from datasets.mini.dataset import Mini
from datasets.mini.photographs import CROP
from datasets.settings import DataSettings

SIZES = {
    "image_size": "side of the square images, in pixels (default: 64 for mini, else 128)",
    "train_per_class": "at most so many training images a class (default: all)",
    "val_per_class": "at most so many validation images a class (default: all)",
    "test_per_class": "at most so many test images a class (default: all)",
}


def add_data_options(words: argparse.ArgumentParser) -> None:
    """Which data set, where it lies, and how much of it."""
    words.add_argument("--dataset", default=Mini.name, help="mini, osma, or a YAML file of your own (default: mini)")
    words.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the data set's files")
    add_size_options(words)


def add_size_options(words: argparse.ArgumentParser) -> None:
    """The settings of the data that a preset has; give the preset's values to get its images."""
    for name, meaning in SIZES.items():
        words.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=meaning)


def request_of(options: argparse.Namespace) -> DataRequest:
    """The data set that the options ask for.

    Raises:
        UserError: a size is impossible.
    """
    sizes = {name: getattr(options, name) for name in SIZES if getattr(options, name) is not None}
    if options.dataset == Mini.name:
        sizes.setdefault("image_size", CROP)
    try:
        settings = DataSettings(**sizes)
    except ValidationError as error:
        mistake = error.errors()[0]
        option = str(mistake["loc"][0]).replace("_", "-")
        reason = mistake["msg"].removeprefix("Input ")
        raise UserError(f"--{option} {mistake['input']}: {reason}; choose another number") from None
    return DataRequest(options.dataset, options.data_root, settings)
