"""Get a whole record: download every file, unpack the archives, remember what is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from datasets.console import byte_bar, say
from datasets.core.text import readable
from datasets.download.record import Patience, RemoteFile, fetch_file, read_record
from datasets.download.unpack import Limits, archive_kind, unpack
from datasets.errors import UserError

CODE = "https://github.com/ICTMCG/POSE"  # carries the annotation files, in its folder dataset/


def fetch_record(
    url: str,
    folder: Path,
    unpacking: bool = True,
    delete: bool = False,
    patience: Patience | None = None,
    limits: Limits | None = None,
) -> None:
    """Download the files of a record into a folder and unpack its archives there.

    What was done before is not done again: a mark next to the files names every archive that was unpacked whole.

    Args:
        url: description of the record.
        folder: made if need be.
        unpacking: whether archives are unpacked.
        delete: whether archives that were unpacked are deleted.
        patience: with a failing server.
        limits: of what an archive may hold.

    Raises:
        UserError: something cannot be had, is not what the record states, or must not be unpacked.
    """
    files = read_record(url, patience)
    say(f"{len(files)} files, {readable(sum(file.size for file in files))}, from {url}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".download.lock", timeout=0):
            for file in files:
                _fetch_one(file, folder, unpacking, delete, patience, limits)
    except Timeout:
        raise UserError(f"another process is downloading into {folder}; wait for it, or use another --to") from None
    except OSError as error:
        raise UserError(f"--to {folder} cannot be written ({error.strerror or error}); use another folder") from None


def _fetch_one(
    file: RemoteFile, folder: Path, unpacking: bool, delete: bool, patience: Patience | None, limits: Limits | None
) -> None:
    mark = folder / f".{file.name}.{file.digest[:8]}.unpacked"
    if mark.is_file():
        say(f"unpacked before: {file.name}")
        return
    with byte_bar() as bar:
        task = bar.add_task(file.name, total=file.size)
        path = fetch_file(file, folder, lambda count: bar.advance(task, count), patience)
    say(f"size and checksum are right: {file.name}, {readable(file.size)}")
    if not unpacking:
        return
    if archive_kind(path) is None:
        say(f"neither zip nor tar, left as it is: {path}")
        return
    with byte_bar() as bar:
        task = bar.add_task(f"unpacking {file.name}", total=None)
        count = unpack(path, folder, limits, lambda count: bar.advance(task, count))
    mark.touch()
    if delete:
        path.unlink()
    say(f"{count:,} files unpacked: {file.name}")


def next_steps(folder: Path) -> Iterator[str]:
    """What a user has to do until the folder is a data root."""
    if any((home / "split1_test").is_dir() for home in (folder, folder / "dataset")):
        yield f"look at it: python -m datasets check --dataset osma --data-root {folder}"
    else:
        yield f"annotation files are not among these; copy the folder dataset/ of {CODE} into {folder}"
