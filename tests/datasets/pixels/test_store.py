"""The store decodes an image once, survives kills and rivals, and says what it could not read."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.core import workers
from datasets.errors import UserError
from datasets.pixels import store as storing
from datasets.pixels.decode import decode
from datasets.pixels.store import PixelStore

SIDE = 16

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    rng = np.random.default_rng(0)
    found = {}
    for index in range(20):
        path = tmp_path / f"{index:02d} é.png"
        Image.fromarray(rng.integers(0, 256, (18, 20, 3), dtype=np.uint8)).save(path)
        found[path.name] = str(path)
    return found


def check(store: PixelStore, files: dict[str, str]) -> None:
    pool, rows = store.view(list(files))
    assert isinstance(pool, np.memmap)  # so that a large pool needs no memory
    for row, path in zip(rows, files.values(), strict=True):
        assert np.array_equal(pool[row], decode(Path(path), SIDE).pixels)


def break_file(files: dict[str, str], position: int) -> str:
    name = sorted(files)[position]
    Path(files[name]).write_bytes(b"")
    return name


def test_every_image_is_stored_as_it_is_decoded(tmp_path: Path, files: dict[str, str]) -> None:
    store = PixelStore(tmp_path, SIDE)
    report = store.ensure(files)
    assert (report.images, report.decoded, report.flagged, report.skipped) == (20, 20, {}, {})
    check(store, files)


def test_several_processes_decode_the_same_pixels_as_one(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ALONE", 1)
    monkeypatch.setattr(workers, "CHUNK", 3)
    store = PixelStore(tmp_path, SIDE)
    assert store.ensure(files).decoded == 20
    check(store, files)


def test_nothing_is_decoded_twice_also_by_another_process(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = dict(list(files.items())[:12])
    PixelStore(tmp_path, SIDE).ensure(some)
    store = PixelStore(tmp_path, SIDE)
    assert store.need(files).images == 8
    assert store.ensure(files).decoded == 8
    monkeypatch.setattr(storing, "decoded", None)  # would fail if it were called
    assert PixelStore(tmp_path, SIDE).ensure(files).decoded == 0
    check(store, files)


def test_other_roots_and_sizes_do_not_share_pixels(tmp_path: Path, files: dict[str, str]) -> None:
    PixelStore(tmp_path, SIDE).ensure(files)
    assert PixelStore(tmp_path, 2 * SIDE).need(files).images == 20
    assert PixelStore(tmp_path.parent, SIDE).need(files).images == 20


def test_a_file_that_changed_is_decoded_anew_and_old_views_keep_their_pixels(
    tmp_path: Path, files: dict[str, str]
) -> None:
    store = PixelStore(tmp_path, SIDE)
    store.ensure(files)
    before, rows = store.view(list(files))
    copy = before[rows].copy()
    path = Path(next(iter(files.values())))
    Image.new("RGB", (20, 20), "red").save(path)
    assert PixelStore(tmp_path, SIDE).ensure(files).decoded == 1
    check(PixelStore(tmp_path, SIDE), files)
    assert np.array_equal(before[rows], copy)


def test_a_killed_process_loses_no_finished_chunk(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CHUNK", 5)
    chunk_by_chunk, calls = storing._decode_chunk, []

    def killed_in_the_third(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return chunk_by_chunk(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(storing, "_decode_chunk", killed_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        PixelStore(tmp_path, SIDE).ensure(files)
    monkeypatch.setattr(storing, "_decode_chunk", chunk_by_chunk)
    store = PixelStore(tmp_path, SIDE)
    assert store.ensure(files).decoded == 10
    check(store, files)


def test_half_a_line_in_the_ledger_costs_no_more_than_its_image(
    tmp_path: Path, files: dict[str, str], own_cache: Path
) -> None:
    PixelStore(tmp_path, SIDE).ensure(files)
    ledger = next(own_cache.glob("*.ledger"))
    ledger.write_bytes(ledger.read_bytes()[:-7])
    assert PixelStore(tmp_path, SIDE).ensure(files).decoded == 1
    assert PixelStore(tmp_path, SIDE).ensure(files).decoded == 0
    check(PixelStore(tmp_path, SIDE), files)


def test_deleted_pixels_are_decoded_again(tmp_path: Path, files: dict[str, str], own_cache: Path) -> None:
    PixelStore(tmp_path, SIDE).ensure(files)
    next(own_cache.glob("*.pixels")).unlink()
    store = PixelStore(tmp_path, SIDE)
    assert store.ensure(files).decoded == 20
    check(store, files)


def test_a_damaged_ledger_is_reported_in_one_line(tmp_path: Path, files: dict[str, str], own_cache: Path) -> None:
    PixelStore(tmp_path, SIDE).ensure(files)
    ledger = next(own_cache.glob("*.ledger"))
    ledger.write_bytes(b"nonsense\n")
    with pytest.raises(UserError, match=r"ledger is damaged; delete it"):
        PixelStore(tmp_path, SIDE).ensure(files)


def ensure_in_a_process(root: Path, files: dict[str, str]) -> None:
    PixelStore(root, SIDE).ensure(files)


def test_processes_that_ask_at_once_decode_each_image_once(
    tmp_path: Path, files: dict[str, str], own_cache: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    rivals = [context.Process(target=ensure_in_a_process, args=(tmp_path, files)) for _ in range(3)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join(60)
    assert [rival.exitcode for rival in rivals] == [0, 0, 0]
    assert len(next(own_cache.glob("*.ledger")).read_text().splitlines()) == 20
    check(PixelStore(tmp_path, SIDE), files)


def test_an_unreadable_image_is_refused_after_all_others_are_stored(
    tmp_path: Path, files: dict[str, str], own_cache: Path
) -> None:
    bad = [break_file(files, 3), break_file(files, 7)]
    store = PixelStore(tmp_path, SIDE)
    with pytest.raises(UserError) as caught:
        store.ensure(files)
    message = str(caught.value)
    assert message.startswith(f"2 of 20 images cannot be read, such as {bad[0]}: the file is empty; all are listed in ")
    assert "\n" not in message and message.endswith("--unreadable skip")
    listed = next(own_cache.glob("*.unreadable.txt")).read_text().splitlines()
    assert listed == [f"{name}\tthe file is empty" for name in bad]
    check(store, {name: path for name, path in files.items() if name not in bad})


def test_an_image_that_is_done_without_stays_so_until_its_file_changes(tmp_path: Path, files: dict[str, str]) -> None:
    bad = break_file(files, 3)
    report = PixelStore(tmp_path, SIDE).ensure(files, unreadable="skip")
    assert report.skipped == {bad: "the file is empty"} and report.decoded == 19
    store = PixelStore(tmp_path, SIDE)
    assert store.skipped(files) == {bad: "the file is empty"}
    with pytest.raises(RuntimeError, match="skipped"):
        store.view([bad])
    Image.new("RGB", (20, 20), "red").save(files[bad])
    assert store.skipped(files) == {} and store.ensure(files).decoded == 1
    check(store, files)


def test_truncated_images_are_stored_and_counted(tmp_path: Path, files: dict[str, str]) -> None:
    name = sorted(files)[5]
    path = Path(files[name])
    path.write_bytes(path.read_bytes()[:600])
    for _ in range(2):  # the second time from the ledger
        assert PixelStore(tmp_path, SIDE).ensure(files).flagged == {"truncated": [name]}


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    tmp_path: Path, files: dict[str, str], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1 << 30, 1 << 30, 1000))
    store = PixelStore(tmp_path, SIDE)
    assert str(store.need(files)) == f"20 images take 15.0 KiB in {own_cache}, which has 1000 bytes free"
    with pytest.raises(UserError, match=r"20 images take 15\.0 KiB in .* free space"):
        store.ensure(files)
    assert [path.suffix for path in own_cache.iterdir() if path.suffix != ".lock"] == []


def test_a_disk_that_runs_full_is_reported_in_one_line(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storing, "_decode_chunk", full)
    with pytest.raises(UserError, match=r"No space left on device \(.* free\); free space"):
        PixelStore(tmp_path, SIDE).ensure(files)


def test_a_cache_that_cannot_be_made_is_reported_in_one_line(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSMA_BENCH_CACHE", f"{next(iter(files.values()))}/below-a-file")
    with pytest.raises(UserError, match=r"^the cache .*below-a-file cannot be used: Not a directory; set OSMA_"):
        PixelStore(tmp_path, SIDE).ensure(files)


def test_nothing_wanted_needs_nothing(tmp_path: Path, own_cache: Path) -> None:
    store = PixelStore(tmp_path, SIDE)
    assert store.ensure({}).images == 0 and list(own_cache.iterdir()) == []
    pool, rows = store.view([])
    assert pool.shape == (0, SIDE, SIDE, 3) and len(rows) == 0


# -- digests and changed files ---------------------------------------------------------------------


def digest(path: str) -> str:
    return hashlib.blake2b(decode(Path(path), SIDE).pixels.tobytes(), digest_size=16).hexdigest()


def as_of_the_first_release(ledger: Path) -> None:
    """Lines of name, row, size and time, flags and reason."""
    rows = map(json.loads, ledger.read_text().splitlines())
    lines = (json.dumps([name, row, stamp[:2], flags, why]) for name, row, stamp, flags, why, _ in rows)
    ledger.write_text("".join(f"{line}\n" for line in lines))


def test_the_digest_of_every_image_is_kept_when_it_is_decoded(tmp_path: Path, files: dict[str, str]) -> None:
    PixelStore(tmp_path, SIDE).ensure(files)
    stored = PixelStore(tmp_path, SIDE).stored(files)
    assert {name: entry.digest for name, entry in stored.items()} == {n: digest(path) for n, path in files.items()}


def test_a_ledger_of_the_first_release_gets_its_digests_from_the_rows(
    tmp_path: Path, files: dict[str, str], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PixelStore(tmp_path, SIDE).ensure(files)
    as_of_the_first_release(next(own_cache.glob("*.ledger")))
    monkeypatch.setattr(storing, "decoded", None)  # would fail if it were called
    assert PixelStore(tmp_path, SIDE).ensure(files).decoded == 0
    stored = PixelStore(tmp_path, SIDE).stored(files)
    assert {name: entry.digest for name, entry in stored.items()} == {n: digest(path) for n, path in files.items()}
    assert all(entry.stamp.mark is not None for entry in stored.values())
    lines = len(next(own_cache.glob("*.ledger")).read_text().splitlines())
    PixelStore(tmp_path, SIDE).ensure(files)
    assert len(next(own_cache.glob("*.ledger")).read_text().splitlines()) == lines == 40


def test_rows_of_files_that_changed_since_the_first_release_get_no_digest(
    tmp_path: Path, files: dict[str, str], own_cache: Path
) -> None:
    PixelStore(tmp_path, SIDE).ensure(files)
    as_of_the_first_release(next(own_cache.glob("*.ledger")))
    name = break_file(files, 4)
    store = PixelStore(tmp_path, SIDE)
    store.digest_rows(files)
    assert [other for other, entry in store.stored(files).items() if not entry.digest] == [name]
    assert store.changed(files) == [name]


def test_a_file_that_was_touched_keeps_its_row(tmp_path: Path, files: dict[str, str]) -> None:
    store = PixelStore(tmp_path, SIDE)
    store.ensure(files)
    name = sorted(files)[3]
    row = store.stored([name])[name].row
    os.utime(files[name], ns=(1, 1))
    assert store.changed(files) == [name]
    assert store.ensure(files).decoded == 1
    assert store.stored([name])[name].row == row and store.changed(files) == []
    check(store, files)


def test_other_pixels_of_equal_size_and_time_are_decoded(tmp_path: Path, files: dict[str, str]) -> None:
    store = PixelStore(tmp_path, SIDE)
    first, second = (tmp_path / f"{colour}.bmp" for colour in ("red", "blue"))  # as many bytes whatever the pixels
    Image.new("RGB", (20, 20), "red").save(first)
    store.ensure({"x": str(first)})
    Image.new("RGB", (20, 20), "blue").save(second)
    shutil.copystat(first, second)
    second.replace(first)
    assert store.ensure({"x": str(first)}).decoded == 1
    check(store, {"x": str(first)})


def test_a_stored_image_whose_file_is_broken_now_is_not_taken_for_the_file(
    tmp_path: Path, files: dict[str, str]
) -> None:
    store = PixelStore(tmp_path, SIDE)
    store.ensure(files)
    bad = break_file(files, 3)
    report = store.ensure(files, unreadable="leave")
    assert (report.decoded, report.skipped) == (0, {bad: "the file is empty"})
    assert PixelStore(tmp_path, SIDE).skipped(files) == {}  # nothing is remembered
