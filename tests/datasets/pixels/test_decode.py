"""Pixels are what torchvision's crop and Pillow's resize give; odd files have their stated outcome."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile
from torchvision.transforms import CenterCrop

from datasets.pixels.decode import UnreadableImage, decode

SIDE = 32
RNG = np.random.default_rng(0)


def noise(height: int, width: int, channels: int = 3) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, channels), dtype=np.uint8))


def reference(path: Path, side: int = SIDE) -> NDArray[np.uint8]:
    """The official reader, written down from its description."""
    image = Image.open(path).convert("RGB")
    if image.width != image.height:
        image = CenterCrop(min(image.size))(image)
    return np.asarray(image.resize((side, side)))  # Pillow's default is bicubic


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("size", [(64, 64), (32, 32), (20, 20), (33, 50), (50, 33), (31, 200), (1, 9), (107, 108)])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_pixels_equal_those_of_torchvision_and_pillow(tmp_path: Path, size: tuple[int, int], ending: str) -> None:
    path = tmp_path / f"image.{ending}"
    noise(*size).save(path)
    image = decode(path, SIDE)
    assert image.pixels.shape == (SIDE, SIDE, 3) and image.pixels.dtype == np.uint8
    expected = {"enlarged": min(size) < SIDE, "narrow": max(size) >= 4 * min(size), "constant": min(size) == 1}
    assert image.flags == tuple(flag for flag, there in expected.items() if there)
    assert np.array_equal(image.pixels, reference(path))


@pytest.mark.parametrize(("width", "first"), [(33, 0), (34, 1), (35, 2), (37, 2), (39, 4)])
def test_half_pixels_of_the_crop_are_rounded_to_even(tmp_path: Path, width: int, first: int) -> None:
    columns = np.tile(np.arange(width, dtype=np.uint8)[None, :, None], (SIDE, 1, 3))
    Image.fromarray(columns).save(tmp_path / "columns.png")
    assert decode(tmp_path / "columns.png", SIDE).pixels[0, :, 0].tolist() == list(range(first, first + SIDE))


@pytest.mark.parametrize(
    ("mode", "ending", "flags"),
    [
        ("P", "png", ("palette",)),
        ("CMYK", "jpg", ("cmyk",)),
        ("RGBA", "png", ("alpha",)),
        ("LA", "png", ("alpha",)),
        ("L", "png", ()),
        ("1", "png", ()),
    ],
)
def test_other_modes_are_converted_as_pillow_does_and_flagged(
    tmp_path: Path, mode: str, ending: str, flags: tuple[str, ...]
) -> None:
    path = tmp_path / f"image.{ending}"
    noise(40, 44).convert(mode).save(path)
    image = decode(path, SIDE)
    assert np.array_equal(image.pixels, reference(path)) and image.flags == flags


def test_a_palette_with_transparency_is_read_without_it(tmp_path: Path) -> None:
    noise(40, 40).convert("P").save(tmp_path / "image.png", transparency=b"\x00\x80\xff")
    assert decode(tmp_path / "image.png", SIDE).flags == ("palette", "alpha")


def test_exif_orientation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(40, 50).save(tmp_path / "turned.jpg", exif=exif)
    image = decode(tmp_path / "turned.jpg", SIDE)
    assert np.array_equal(image.pixels, reference(tmp_path / "turned.jpg")) and image.flags == ("rotated",)


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tiff"])
def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"image.{ending}"
    first, second = (Image.new("RGB", (SIDE, SIDE), colour) for colour in ("white", "black"))
    first.save(path, save_all=True, append_images=[second])
    image = decode(path, SIDE)
    assert "animated" in image.flags and image.pixels.min() > 250


def test_of_16_bits_in_colour_the_high_bytes_are_kept(tmp_path: Path) -> None:
    row = b"\x00" + bytes([200, 7, 100, 7, 50, 7]) * SIDE
    (tmp_path / "deep.png").write_bytes(raw_png(SIDE, SIDE, 16, 2, row * SIDE))
    image = decode(tmp_path / "deep.png", SIDE)
    assert image.flags == ("16-bit", "constant") and (image.pixels == [200, 100, 50]).all()


def test_the_content_decides_on_the_format_not_the_name(tmp_path: Path) -> None:
    noise(40, 40).save(tmp_path / "image.jpg")
    wrong = (tmp_path / "image.jpg").rename(tmp_path / "image.png")
    assert decode(wrong, SIDE).flags == ("extension",)
    assert np.array_equal(decode(wrong, SIDE).pixels, reference(wrong))


@pytest.mark.parametrize(("ending", "kept"), [("png", 0.5), ("jpg", 0.5), ("jpg", 0.9)])
def test_a_truncated_file_is_read_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, kept: float
) -> None:
    path = tmp_path / f"image.{ending}"
    noise(90, 90).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    image = decode(path, SIDE)
    assert image.flags == ("truncated",) and not ImageFile.LOAD_TRUNCATED_IMAGES
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert np.array_equal(image.pixels, reference(path))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "the file is empty"),
        ("text.png", b"no image at all", "not an image"),
        ("header.png", raw_png(40, 40, 8, 2, b"")[:30], "not an image"),
        ("bomb.png", raw_png(50_000, 50_000, 8, 2, b"\x00"), "more than 89,478,485 pixels"),
        ("large.png", raw_png(10_000, 9_000, 8, 2, b"\x00"), "10000 x 9000 pixels; the limit is 89,478,485"),
        ("deep.png", raw_png(8, 8, 16, 0, (b"\x00" + b"\x12\x34" * 8) * 8), "save it with 8 bits"),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_what_yields_no_pixels_is_refused_with_one_line(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImage) as caught:
        decode(tmp_path / name, SIDE)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.png", "a" * 300 + ".png", "nul\0.png"])
def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableImage, match="cannot be opened"):
        decode(tmp_path / name, SIDE)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="not a regular file"):
        decode(tmp_path, SIDE)


def outcome(path: Path) -> str:
    """What became of a file: "pixels", or the reason why there are none."""
    try:
        assert decode(path, SIDE).pixels.shape == (SIDE, SIDE, 3)
    except UnreadableImage as reason:
        return str(reason)
    return "pixels"


def test_random_damage_yields_pixels_or_one_reason_and_no_other_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    outcomes = set()
    for ending in ("png", "jpg", "gif", "webp", "tiff", "bmp"):
        path = tmp_path / f"image.{ending}"
        noise(24, 24).save(path)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[rng.integers(0, len(whole), 6)] = rng.integers(0, 256, 6)
            path.write_bytes(damaged.tobytes())
            outcomes.add(outcome(path))
    assert "pixels" in outcomes and len(outcomes) > 1
    assert not any("\n" in text for text in outcomes)


def test_names_in_any_script_are_read(tmp_path: Path) -> None:
    path = tmp_path / "Фото 写真 – é.png"
    noise(40, 40).save(path)
    assert np.array_equal(decode(path, SIDE).pixels, reference(path))
