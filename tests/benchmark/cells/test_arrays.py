"""Arrays of strangers: what a file declares is checked before anything is made of it."""

from __future__ import annotations

import io
import os
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from benchmark.cells.arrays import columns, read_arrays
from benchmark.cells.files import write_arrays
from tests.benchmark.toy import refused

ARRAYS = {
    "ids": np.array(["a", "é"]), "part": np.zeros(2, np.int8), "flag": np.array([True, False]),
    "matrix": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "one": np.asarray("word"), "none": np.zeros((0, 4)),
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.npz"


def member(shape, dtype="<f8", content=b"", version=(1, 0)):
    """An array file that declares what it likes."""
    file = io.BytesIO()
    header = {"shape": shape, "fortran_order": False, "descr": dtype}
    (npy.write_array_header_1_0 if version == (1, 0) else npy.write_array_header_2_0)(file, header)
    return file.getvalue() + content


def pack(path, *members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)


def test_what_was_written_comes_back_as_numpy_itself_reads_it(path):
    write_arrays(path, ARRAYS)
    found = read_arrays(path)
    with np.load(path) as file:
        for name in ARRAYS:
            assert (found[name].dtype, found[name].shape) == (file[name].dtype, file[name].shape)
            assert np.array_equal(found[name], file[name])
            assert found[name].flags.writeable


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (member((10**11,)), "declares shape '(100000000000,)' and holds 128 bytes"),
        (member((-1,)), "declares shape '(-1,)'"),
        (member((2,), content=b"\0" * 8), "declares shape '(2,)' and holds 136 bytes"),
        (member((1,), content=b"\0" * 16), "declares shape '(1,)'"),
        (member((1,), "|O", b"\0" * 8), "has type 'object', which nothing of ours has"),
        (member((1,), "|S4", b"abcd"), "has type '|S4'"),
        (member((1,), ">f8", b"\0" * 8), "has type '>f8'"),
        (member((10**9,), "<U0"), "has type '<U0'"),
        (member((1,), "|b1", b"\2"), "holds bytes that are no truth values"),
        (member((1,), "<U1", b"\xff\xff\xff\xff"), "holds bytes that are no text"),
        (b"", "EOF: reading magic string"),
        (b"\x93NUMPY\x09\x00" + b"\0" * 100, "format (9, 0) of arrays is unknown here"),
        (b"\x93NUMPY\x01\x00\x40\x1f" + b"(" * 8000, "is damaged ("),
    ],
)
def test_a_member_that_declares_what_it_does_not_hold_is_refused(path, content, reason):
    pack(path, ("a.npy", content))
    with refused(reason):
        read_arrays(path)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], "it holds 0 arrays"),
        ([("a.txt", b"")], "'a.txt' is no array"),
        ([("../a.py", b"")], "'../a.py' is no array"),
        ([(f"{n}.npy", member((1,), content=b"\0" * 8)) for n in range(1001)], "it holds 1001 arrays"),
    ],
)
def test_an_archive_of_something_else_is_refused(path, members, reason):
    pack(path, *members)
    with refused(reason):
        read_arrays(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(path):
    pack(path, ("a.npy", member((1,), content=b"\0" * 8)), ("a.npy", member((1,), content=b"\1" * 8)))
    with refused("it holds 2 arrays under 1 names"):
        read_arrays(path)


def test_bytes_exchanged_or_cut_off_are_found(path):
    write_arrays(path, ARRAYS)
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[: len(whole) // 2], whole[:60] + b"\0" * 9 + whole[69:]):
        path.write_bytes(content)
        with refused("is damaged ("):
            read_arrays(path)


@pytest.mark.skipif(os.name == "nt", reason="needs pipes and links")
def test_pipes_and_links_that_leave_the_folder_are_not_opened(tmp_path):
    (tmp_path / "cell").mkdir()
    write_arrays(tmp_path / "other.npz", ARRAYS)
    (tmp_path / "cell" / "link.npz").symlink_to(tmp_path / "other.npz")
    os.mkfifo(tmp_path / "cell" / "pipe.npz")
    with refused("link.npz is damaged (it is a link that leads out of its folder)"):
        read_arrays(tmp_path / "cell" / "link.npz")
    with refused("pipe.npz is damaged (it is a named pipe, not a file)"):
        read_arrays(tmp_path / "cell" / "pipe.npz")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"b": None}, "it has no 'b'"),
        ({"c": np.zeros(2)}, "its 'c' is unknown here; a newer release may know it"),
        ({"x:new": np.zeros(2, np.int64)}, "'x:new' holds whole numbers, not numbers"),
        ({"a": np.zeros(2)}, "'a' holds numbers, not whole numbers"),
        ({"b": np.array(["a", "b", "c"])}, "'b' has shape (3,), others (2,)"),
        ({"a": np.zeros((2, 1), np.int64)}, "'a' has shape (2, 1), others (2,)"),
    ],
)
def test_columns_are_of_the_declared_types_and_of_one_length(path, change, reason):
    right = {"a": np.zeros(2, np.int64), "b": np.array(["a", "b"]), "x:more": np.zeros(2)}
    write_arrays(path, right)
    assert set(columns(path, {"a": "i", "b": "U"}, free="x:")) == set(right)
    write_arrays(path, {name: array for name, array in (right | change).items() if array is not None})
    with refused(reason):
        columns(path, {"a": "i", "b": "U"}, free="x:")
