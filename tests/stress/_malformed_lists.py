"""Files that users and strangers bring: annotation lists, descriptions of own images, pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hypothesis import strategies as st
from PIL import Image

from datasets.errors import UserError
from datasets.folder.plan import FolderPlan
from datasets.osma.annotations import parse_annotation
from datasets.pixels.decode import UnreadableImage, decode

_WORDS = st.sampled_from(
    ["", "0", "-1", "no", "null", ".inf", "1e999", "9" * 5000, "é", "e\u0301", "..", "/", "\\", "~nobody/x", "a" * 300,
     "*/" * 200, "**/" * 20, "{class}", "{role}", "real", "a", "&a [*a]", "!!python/name:os.system", "\0", "\t", "\r\n"]
)  # fmt: skip


# -- annotation files --------------------------------------------------------------------------------


def annotations() -> st.SearchStrategy[bytes]:
    """Lines that are right, nearly right, or anything."""
    start = st.sampled_from(["./dataset/OSMA/", "./dataset/OSMA_subset/", "/", "", "./"])
    label = st.one_of(st.integers(-5, 99).map(str), _WORDS, st.text(max_size=5))
    line = st.builds(lambda a, b, c, d: f"{a}{b}{c}{d}", start, st.text(max_size=20), st.sampled_from("\t ,"), label)
    text = st.lists(st.one_of(line, _WORDS), max_size=8).map(lambda lines: "\n".join(lines).encode(errors="replace"))
    return st.one_of(text, st.binary(max_size=60), _damaged(text))


def read_annotations(folder: Path, content: bytes) -> None:
    found = parse_annotation(content, folder / "list.txt")
    assert len(found.names) == len(found.labels)
    assert not any(name.startswith("/") or ".." in name.split("/") for name in found.names)


# -- descriptions ------------------------------------------------------------------------------------

_RIGHT = {
    "name": "own", "root": "images", "classes": {"real": "r", "a": ["b", "c"]}, "pattern": "fake/{class}",
    "ratios": {"train": 0.5}, "seed": 3, "splits": {"one": {"known": ["real", "a"], "unknown": {"arch": ["x"]}}},
}  # fmt: skip


def descriptions() -> st.SearchStrategy[bytes]:
    """A right file with one entry exchanged, text of YAML's own characters, or bytes."""
    value = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _WORDS, st.text(max_size=8)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, max_size=3)),
        max_leaves=6,
    )
    changed = st.builds(_exchanged, st.sampled_from(sorted(_RIGHT)), value)
    signs = st.text(alphabet="ab:{}[]&*!-|>'\"#%@`,\n \t?<=~0.", max_size=60).map(str.encode)
    return st.one_of(changed, signs, st.binary(max_size=60), _damaged(changed))


def _exchanged(key: str, value: Any) -> bytes:
    return yaml.safe_dump(_RIGHT | {key: value}, allow_unicode=True).encode(errors="replace")


def read_description(folder: Path, content: bytes) -> None:
    path = folder / "own.yaml"
    path.write_bytes(content)
    plan = FolderPlan(path)
    assert plan.used and plan.root


# -- images ------------------------------------------------------------------------------------------


def images() -> st.SearchStrategy[tuple[str, bytes]]:
    """A picture of any kind with some bytes exchanged, cut off or added, or bytes that never were one."""
    kinds = st.sampled_from(["png", "jpg", "webp", "bmp", "gif", "tif", "ppm"])
    return st.one_of(kinds.flatmap(lambda kind: st.tuples(st.just(kind), _damaged(st.just(_picture(kind))))),
                     st.tuples(kinds, st.binary(max_size=200)))  # fmt: skip


def _picture(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, {"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper()))
    return content.getvalue()


def decode_image(folder: Path, image: tuple[str, bytes]) -> None:
    """Decoding answers with pixels, or says in words why there are none."""
    path = folder / f"image.{image[0]}"
    path.write_bytes(image[1])
    try:
        found = decode(path, 16)
    except UnreadableImage as reason:
        raise UserError(str(reason)) from None
    assert found.pixels.shape == (16, 16, 3)
    assert found.pixels.dtype == np.uint8


def _damaged(content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes with a few of them exchanged, and perhaps the end cut off."""
    places = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6)
    return st.builds(damage, content, places, st.floats(0, 1))


def damage(content: bytes, places: list[tuple[float, int]], kept: float) -> bytes:
    """The content with single bytes exchanged and the end cut off; above a half, nothing is cut."""
    changed = bytearray(content)
    for place, byte in places if content else ():
        changed[int(place * len(changed))] = byte
    return bytes(changed[: int(2 * kept * len(changed))])
