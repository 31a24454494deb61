"""Where a cell lies below a results folder and below a board, and which cells lie there; nobody else knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

CELL = "cell.json"  # a folder that holds it is a cell
CELLS = "cells"  # folder of the committed cells of a board
LONGEST = 255  # bytes of a name that every disk can hold
_OLD = re.compile(r"\.old\d+$")  # how the name of a cell that was set aside ends
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]|^\.|^$")  # in the name of a file or folder of ours


@dataclass(frozen=True, order=True)
class CellPath:
    """The words that tell one cell from all others that one folder of results can hold.

    Attributes:
        dataset, preset: of the board; the key of the preset, with what was changed in it.
        key: `name` or `name@variant` of the method.
        split, seed: on which it is computed.
    """

    dataset: str
    preset: str
    key: str
    split: str
    seed: int

    @property
    def title(self) -> str:
        """As people read it."""
        return f"{self.key}  {self.split}  seed {self.seed}"

    @property
    def board(self) -> str:
        """The name of the board that it belongs to."""
        return board_name(self.dataset, self.preset)

    @property
    def in_board(self) -> Path:
        """Folder below that of all cells of one board."""
        return Path(self.key, f"{self.split}-seed{self.seed}")

    @property
    def in_results(self) -> Path:
        """Folder below the results folder."""
        return Path(self.dataset, self.preset) / self.in_board

    @property
    def unsafe(self) -> str | None:
        """A word that must not name a folder, since it leads elsewhere or no disk can hold it; None if all are safe."""
        words = (self.dataset, self.preset, self.board, self.key, self.in_board.name, self.split)
        return next((word for word in words if _UNSAFE.search(word) or len(word.encode()) > LONGEST), None)

    def of(self, key: str) -> CellPath:
        """The cell of another method on the same split and seed."""
        return replace(self, key=key)


def board_name(dataset: str, preset: str) -> str:
    return f"{dataset}-{preset}"


def local_root(results: Path, dataset: str, preset: str) -> Path:
    """Where the cells of one data set and preset lie on this machine."""
    return results / dataset / preset


def committed_root(leaderboards: Path, board: str) -> Path:
    """Where the committed cells of a board lie."""
    return leaderboards / board / CELLS


def is_committed(folder: Path) -> bool:
    """Whether a cell lies among the committed cells of a board."""
    return folder.parents[1].name == CELLS


def local_roots(results: Path) -> list[Path]:
    """Every `local_root` that holds cells."""
    # Without the hidden folder of running cells, which may vanish under the search.
    return sorted({path.parents[2] for path in results.glob(f"[!.]*/*/*/*/{CELL}")})


def committed_roots(leaderboards: Path) -> list[Path]:
    """Every `committed_root` that holds cells."""
    return sorted({path.parents[2] for path in leaderboards.glob(f"*/{CELLS}/*/*/{CELL}")})


def cell_folders(root: Path) -> Iterator[Path]:
    """The cells of one board below its root, in a stable order; not those set aside."""
    for path in sorted(root.glob(f"*/*/{CELL}")):
        name = path.parent.name
        if not (name.startswith(".") or _OLD.search(name)):
            yield path.parent


def cell_places(root: Path) -> Iterator[Path]:
    """Everything that lies where a cell of one board would lie, whether or not it is one; not what was set aside."""
    for path in sorted(root.glob("*/*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.parent.is_dir() and not (hidden or _OLD.search(path.name)):
            yield path


def neighbours(folder: Path) -> Iterator[Path]:
    """The cells of all methods on the split and seed of one cell, itself among them."""
    for path in sorted(folder.parents[1].glob(f"*/{folder.name}/{CELL}")):
        yield path.parent


def set_aside_name(number: int, folder: Path) -> Path:
    """Where a finished cell that makes room is kept."""
    return folder.with_name(f"{folder.name}.old{number}")
