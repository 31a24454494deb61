"""Real photographs that come with installed packages, and the zones that keep roles apart.

Nothing is downloaded: scikit-image, scikit-learn and matplotlib carry these files inside their
wheels. Credits and licences are listed in NOTICE.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.errors import UserError

Role = Literal["train", "val", "test"]
ROLES: tuple[Role, ...] = ("train", "val", "test")

CROP = 64  # side of every image of the data set, in pixels
SMALLEST_ZONE = 72  # a zone must leave a crop some room to move
EVALUATION_SHARE = 0.2  # of the usable length, for validation and for test each


class Source(NamedTuple):
    """Where a photograph lies: an installed package and a path inside it."""

    package: str
    path: str


SEEN_CONTENTS: dict[str, Source] = {
    "astronaut": Source("skimage", "data/astronaut.png"),
    "chelsea": Source("skimage", "data/chelsea.png"),
    "coffee": Source("skimage", "data/coffee.png"),
    "rocket": Source("skimage", "data/rocket.jpg"),
    "china": Source("sklearn", "datasets/images/china.jpg"),
    "flower": Source("sklearn", "datasets/images/flower.jpg"),
}
UNSEEN_CONTENTS: dict[str, Source] = {
    "hubble": Source("skimage", "data/hubble_deep_field.jpg"),
    "retina": Source("skimage", "data/retina.jpg"),
    "immunohistochemistry": Source("skimage", "data/ihc.png"),
}
# Real photographs that occur in the test set only. The licence of "motorcycle" is not stated, so it
# is read where it is installed and appears in no file or picture that this repository carries.
UNSEEN_REAL: dict[str, Source] = {
    "grace_hopper": Source("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "motorcycle": Source("skimage", "data/motorcycle_left.png"),
}
PHOTOGRAPHS: dict[str, Source] = {**SEEN_CONTENTS, **UNSEEN_CONTENTS, **UNSEEN_REAL}


@dataclass(frozen=True)
class Zone:
    """A rectangle of a photograph, in pixels; the right and bottom edges are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def shorter_side(self) -> int:
        return min(self.right - self.left, self.bottom - self.top)


def photograph_path(content: str) -> Path:
    """The installed file of a photograph.

    Raises:
        UserError: the package that carries it is missing or came without the file.
    """
    source = PHOTOGRAPHS[content]
    spec = find_spec(source.package)
    if spec is None or spec.origin is None:
        raise UserError(f"photograph '{content}' needs the package {source.package}; install it with pip")
    path = Path(spec.origin).parent / source.path
    if not path.is_file():
        raise UserError(f"photograph '{content}' is not at {path}; reinstall {source.package} from its wheel")
    return path


@lru_cache(maxsize=len(PHOTOGRAPHS))
def load_photograph(content: str) -> Image.Image:
    """The whole photograph as RGB."""
    with Image.open(photograph_path(content)) as image:
        return image.convert("RGB")


def photograph_array(content: str) -> NDArray[np.uint8]:
    """The whole photograph, (H, W, 3)."""
    return np.asarray(load_photograph(content))


def zones(width: int, height: int) -> dict[Role, Zone]:
    """Cut a photograph once along its longer side into train, validation and test.

    Neighbouring zones are one crop apart, so no pixel and no object edge is shared between roles.
    """
    length = max(width, height)
    usable = length - 2 * CROP
    evaluation = max(SMALLEST_ZONE, round(EVALUATION_SHARE * usable))
    train = usable - 2 * evaluation
    starts = {"train": 0, "val": train + CROP, "test": train + evaluation + 2 * CROP}
    sizes = {"train": train, "val": evaluation, "test": evaluation}
    if width >= height:
        return {role: Zone(starts[role], 0, starts[role] + sizes[role], height) for role in ROLES}
    return {role: Zone(0, starts[role], width, starts[role] + sizes[role]) for role in ROLES}
