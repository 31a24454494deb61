"""One image file to pixels, as the official POSE reader does it, with a stated outcome for every odd file.

Kept from its `data/dataset.py`: Pillow, RGB, torchvision's centre crop to a square where width and height differ,
resize to the size asked for, truncated files tolerated, EXIF orientation not applied. Its resize names no filter;
the Pillow of its time took bicubic, which is asked for by name here.

What becomes of odd files:

| file | outcome |
|---|---|
| truncated or damaged behind its header | decoded as far as it goes, flag `truncated` |
| palette, CMYK, alpha | Pillow's plain conversion to RGB (transparency is dropped), flag of that name |
| 16 bits per channel, colour | the high bytes, flag `16-bit` |
| 16 or 32 bits, greyscale | unreadable: Pillow would clip it to white |
| EXIF orientation | not applied, flag `rotated` |
| animated or of several pages | the first frame, flag `animated` |
| extension of another format | decoded by content, flag `extension` |
| a side below the size asked for | enlarged, flag `enlarged` |
| one side four times the other or more | most of it is cropped away, flag `narrow` |
| one colour after all this | decoded, flag `constant` |
| empty, no image, more pixels or bytes than the limits, not a regular file | unreadable |
"""

from __future__ import annotations

import io
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from datasets.types import Pixels

PREPROCESSING = 1  # raise when the pixels of any file change

MAX_PIXELS = 89_478_485  # width x height; where Pillow begins to suspect a decompression bomb
MAX_BYTES = 1 << 29

# Formats by extension. Others are not read at all: some plugins of Pillow start other programs.
FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PPM",
    ".pgm": "PPM",
}
NARROW = 4  # times the shorter side
ORIENTATION = 0x0112  # EXIF tag
TOO_DEEP = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
FLAG_OF_MODE = {"P": "palette", "PA": "palette", "CMYK": "cmyk"}
HIGH_BYTES = (";16B", ";16L", ";16N")

# What Pillow's plugins raise on damaged files; anything else is a bug and keeps its traceback.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)

# Pillow's tolerance is one switch for the whole process, so a process decodes one image at a time.
_one_at_a_time = threading.Lock()


class UnreadableImage(Exception):
    """A file that yields no pixels; the message is the reason, in a few words."""


@dataclass(frozen=True)
class Decoded:
    """Pixels (S, S, 3) uint8, and what was odd about their file."""

    pixels: Pixels
    flags: tuple[str, ...]


def decode(path: Path, side: int) -> Decoded:
    """Read one image file.

    Args:
        path: the file; its content decides on the format, not its name.
        side: width and height of the result, in pixels.

    Raises:
        UnreadableImage: there are no pixels to be had from this file.
    """
    content = _content(path)
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; that does not concern the pixels
        try:
            image, flags = _load(content)
        except DAMAGE:
            image, flags = _load_what_there_is(content)
        if path.suffix.lower() in FORMATS and image.format not in (FORMATS[path.suffix.lower()], "MPO"):
            flags = (*flags, "extension")
        try:
            pixels = square_pixels(image, side)
        except DAMAGE as error:
            raise UnreadableImage(f"cannot be converted from mode {image.mode} ({_first_line(error)})") from None
        return Decoded(pixels, (*flags, *_flags_of_shape(image.size, side), *_flags_of_pixels(pixels)))


def decoded(paths: Iterable[Path], side: int) -> Iterator[Decoded | str]:
    """Of each file its pixels, or in a few words why there are none."""
    for path in paths:
        try:
            yield decode(path, side)
        except UnreadableImage as reason:
            yield str(reason)


def square_pixels(image: Image.Image, side: int) -> Pixels:
    """RGB, centre crop to a square, bicubic resize: (side, side, 3) uint8."""
    image = image.convert("RGB")
    width, height = image.size
    if width != height:
        short = min(width, height)
        # Python's round, to even, as in torchvision's center_crop.
        left, top = round((width - short) / 2), round((height - short) / 2)
        image = image.crop((left, top, left + short, top + short))
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))


def _content(path: Path) -> bytes:
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableImage("not a regular file")
        if facts.st_size == 0:
            raise UnreadableImage("the file is empty")
        if facts.st_size > MAX_BYTES:
            raise UnreadableImage(f"{facts.st_size:,} bytes; the limit is {MAX_BYTES:,}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise UnreadableImage(f"cannot be opened ({reason or _first_line(error)})") from None


def _load(content: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """The loaded first frame and its flags; refuses on the header what must not be loaded."""
    formats = tuple(sorted(set(FORMATS.values())))
    try:
        image = Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        raise UnreadableImage(f"not an image ({', '.join(formats)} are read)") from None
    except Image.DecompressionBombError:
        raise UnreadableImage(f"more than {MAX_PIXELS:,} pixels") from None
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableImage(f"{image.width} x {image.height} pixels; the limit is {MAX_PIXELS:,}")
    if image.mode in TOO_DEEP:
        raise UnreadableImage("greyscale of more than 8 bits, which would be clipped to white; save it with 8 bits")
    flags = list(_flags_of_header(image))
    image.load()
    if _is_rotated(image):
        flags.append("rotated")
    return image, tuple(flags)


def _load_what_there_is(content: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    try:
        with _tolerance():
            image, flags = _load(content)
    except DAMAGE as error:
        raise UnreadableImage(f"damaged ({_first_line(error)})") from None
    return image, (*flags, "truncated")


@contextmanager
def _tolerance() -> Iterator[None]:
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _flags_of_header(image: Image.Image) -> Iterator[str]:
    if image.mode in FLAG_OF_MODE:
        yield FLAG_OF_MODE[image.mode]
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        yield "alpha"
    if any(part.endswith(HIGH_BYTES) for tile in getattr(image, "tile", ()) for part in _texts(tile[3])):
        yield "16-bit"
    if _is_animated(image):
        yield "animated"


def _flags_of_shape(size: tuple[int, int], side: int) -> Iterator[str]:
    if min(size) < side:
        yield "enlarged"
    if max(size) >= NARROW * min(size):
        yield "narrow"


def _flags_of_pixels(pixels: Pixels) -> Iterator[str]:
    if (pixels == pixels[0, 0]).all():
        yield "constant"


def _is_animated(image: Image.Image) -> bool:
    try:
        # The second picture of an MPO file is a preview or a depth map.
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except DAMAGE:  # of the frames behind the first one, which are not read
        return False


def _is_rotated(image: Image.Image) -> bool:
    try:
        return image.getexif().get(ORIENTATION, 1) != 1
    except DAMAGE:  # of metadata alone
        return False


def _texts(arguments: object) -> list[str]:
    """The strings among the arguments of one of Pillow's raw decoders."""
    values = arguments if isinstance(arguments, tuple) else (arguments,)
    return [value for value in values if isinstance(value, str)]


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
