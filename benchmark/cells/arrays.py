"""Arrays by name from files that may come from strangers: what a file declares is checked before it is believed.

A file may declare an array of a thousand gigabytes, objects that only a pickle could bring back, or two arrays of one
name; `np.load` believes it.
"""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from datasets.core.outside import open_file
from datasets.core.text import shown
from datasets.errors import UserError

LARGEST = 1 << 36  # bytes of all arrays of a file
MEMBERS = 1000
DEFLATE = 1032  # no byte of a deflated file unpacks to more
DIMENSIONS = 4

_WORDS = {"b": "truth values", "i": "whole numbers", "u": "whole numbers", "f": "numbers", "U": "text"}
_SUFFIX = ".npy"

# What the readers of zip and of NumPy raise on damaged files; the last four on headers nested like an onion.
_DAMAGE = (
    OSError, ValueError, TypeError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError,
    MemoryError, RecursionError, SyntaxError, TokenError,
)  # fmt: skip


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a file.

    Raises:
        UserError: it is missing, damaged, a link that leaves its folder, or declares what it does not hold.
    """
    try:
        with open_file(path, below=path.parent) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_members(members)
            return {info.filename.removesuffix(_SUFFIX): _member(archive, info) for info in members}
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise damaged(path, reason.splitlines()[0]) from None


def damaged(path: Path, reason: str) -> UserError:
    """What is raised of a file of a cell that cannot be used."""
    return UserError(f"{path} is damaged ({reason}); delete the cell's folder to compute it again")


def columns(path: Path, kinds: Mapping[str, str], free: str | None = None) -> dict[str, NDArray[Any]]:
    """Arrays (N,) of one common length, as a file of ours must hold them.

    Args:
        kinds: every array that has to be there, with the letter of its type as NumPy has it.
        free: how the names of further arrays begin; these hold numbers.

    Raises:
        UserError: as `read_arrays`, or an array is missing, unknown, or of another type, form or length.
    """
    arrays = read_arrays(path)
    for name in kinds:
        if name not in arrays:
            raise damaged(path, f"it has no '{name}'")
    length = arrays[next(iter(kinds))].size
    for name, array in arrays.items():
        kind = kinds.get(name) or ("f" if free is not None and name.startswith(free) else None)
        if kind is None:
            raise damaged(path, f"its {shown(name)} is unknown here; a newer release may know it")
        if array.dtype.kind != kind:
            raise damaged(path, f"'{name}' holds {_WORDS[array.dtype.kind]}, not {_WORDS[kind]}")
        if array.shape != (length,):
            raise damaged(path, f"'{name}' has shape {array.shape}, others {(length,)}")
    return arrays


def check_range(path: Path, arrays: Mapping[str, NDArray[Any]], least: int, most: int, *names: str) -> None:
    """Refuse arrays with an entry outside of least .. most.

    Raises:
        UserError: there is one.
    """
    for name in names:
        wrong = (arrays[name] < least) | (arrays[name] > most)
        if wrong.any():
            raise damaged(path, f"'{name}' holds {arrays[name][wrong][0]}, which must lie in {least} to {most}")


def check_finite(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse numbers that are none.

    Raises:
        UserError: there are some.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise damaged(path, f"'{name}' holds {int((~np.isfinite(array)).sum())} values that are not finite")


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    names = [info.filename for info in members]
    if not names or len(names) > MEMBERS or len(set(names)) < len(names):
        raise ValueError(f"it holds {len(names)} arrays under {len(set(names))} names")
    for info in members:
        if not info.filename.endswith(_SUFFIX) or info.filename == _SUFFIX:
            raise ValueError(f"{shown(info.filename)} is no array")
        if info.flag_bits & 1:
            raise ValueError(f"{shown(info.filename)} is encrypted")
        if info.file_size > DEFLATE * info.compress_size + DEFLATE:
            raise ValueError(f"{shown(info.filename)} declares more than it can hold")
    if sum(info.file_size for info in members) > LARGEST:
        raise ValueError(f"its arrays take more than {LARGEST >> 30} GiB")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as stream:
        shape, fortran, dtype = _header(stream)
        named = shown(info.filename)
        if dtype.kind not in _WORDS or not dtype.itemsize or not dtype.isnative:
            raise ValueError(f"{named} has type {shown(str(dtype))}, which nothing of ours has")
        size = math.prod(shape) * dtype.itemsize
        if len(shape) > DIMENSIONS or min(shape, default=1) < 0 or size != info.file_size - stream.tell():
            raise ValueError(f"{named} declares shape {shown(str(shape))} and holds {info.file_size:,} bytes")
        content = bytearray(stream.read(size))
        if len(content) != size or stream.read(1):  # the last look compares the checksum, too
            raise ValueError(f"{named} is cut off")
    array: NDArray[Any] = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    _check_values(array, named)
    return array


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(stream)
    if version not in readers:
        raise ValueError(f"format {version} of arrays is unknown here; a newer NumPy may know it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        return readers[version](stream)


def _check_values(array: NDArray[Any], named: str) -> None:
    """Bytes that are no truth value or no character would fail far away from here."""
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise ValueError(f"{named} holds bytes that are no truth values")
    if array.dtype.kind == "U" and array.size:
        codes = np.frombuffer(array.tobytes(), np.uint32)
        if codes.max() > 0x10FFFF or ((codes >= 0xD800) & (codes <= 0xDFFF)).any():
            raise ValueError(f"{named} holds bytes that are no text")
