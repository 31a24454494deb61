"""The weights that this repository carries: which generator a file is of, and where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

WEIGHTS = Path(__file__).parent / "weights"


class GeneratorName(NamedTuple):
    """The parts of a class name such as `flower-nearest_pixelnorm-s0`."""

    content: str
    family: str
    seed: int

    @classmethod
    def parse(cls, name: str) -> GeneratorName:
        content, family, seed = name.split("-")
        return cls(content, family, int(seed.removeprefix("s")))


def weight_file(name: str, folder: Path = WEIGHTS) -> Path:
    """Where the weights of a generator lie."""
    return folder / f"{name}.safetensors"
