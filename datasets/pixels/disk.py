"""What decoding takes on disk, said before it is done."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from datasets.core.places import existing
from datasets.core.text import readable
from datasets.errors import UserError
from datasets.pixels.cache import ENVIRONMENT

RESERVE = 64 << 20  # bytes that are left free


@dataclass(frozen=True)
class Need:
    """Disk space that some images will take, and what there is.

    Attributes:
        images: how many are not decoded yet.
        bytes: what they will take.
        free: what the disk of `folder` has left, in bytes.
        folder: where they will go.
    """

    images: int
    bytes: int
    free: int
    folder: Path

    def __str__(self) -> str:
        return (
            f"{self.images:,} images take {readable(self.bytes)} in {self.folder}, which has {readable(self.free)} free"
        )

    def check(self) -> None:
        """Refuse before anything is written.

        Raises:
            UserError: the images do not fit.
        """
        if self.images and self.bytes + RESERVE > self.free:
            raise UserError(f"{self}; free space, set {ENVIRONMENT} to a larger disk, or use fewer or smaller images")


def need_for(images: int, bytes_each: int, folder: Path) -> Need:
    """The need of so many images; the folder need not exist yet."""
    return Need(images, images * bytes_each, shutil.disk_usage(existing(folder)).free, folder)
