"""Every name that the documents mention is the name of something."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")
OURS = ("benchmark", "datasets", "methods")
TO_COME = ("methods/my_method.py", "tests/methods/test_my_method.py")  # what a reader is told to write

CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:[\w*.-]+/)+[\w*.-]*|[\w-]+\.(?:py|md|yaml)")
DOTTED = re.compile(rf"(?:{'|'.join(OURS)})(?:\.\w+)+")


def quoted(page: str) -> list[str]:
    return CODE.findall((ROOT / page).read_text(encoding="utf-8"))


def dotted_names() -> list[str]:
    return sorted({name for page in PAGES for code in quoted(page) for name in DOTTED.findall(code) if "/" not in code})


def paths() -> list[str]:
    """Relative to the checkout, or to the folder that its line or table row names first."""
    return sorted({code for page in PAGES for code in quoted(page) if PATH.fullmatch(code)} - {*TO_COME})


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something that a module holds."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


@pytest.mark.parametrize("name", dotted_names())
def test_a_dotted_name_of_the_documents_is_a_module_or_what_it_holds(name: str) -> None:
    assert resolves(name)


def test_the_path_of_one_image_is_told_by_a_score_of_real_names() -> None:
    assert len(dotted_names()) >= 20
    assert not resolves("benchmark.cells.store.Stoer")
    assert not resolves("benchmark.no_room.at_all")


@pytest.mark.parametrize("path", paths())
def test_a_path_of_the_documents_is_there(path: str) -> None:
    places = (ROOT, ROOT / "datasets", ROOT / "benchmark" / "commands")
    assert any(any(place.glob(path.rstrip("/"))) for place in places)


def test_every_room_is_on_the_page() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {file.parent for top in OURS for file in (ROOT / top).rglob("*.py")}
    named = {room.relative_to(ROOT).as_posix() for room in rooms} - {"benchmark", "datasets", "datasets/splits"}
    assert [room for room in sorted(named) if f"`{room}/`" not in page] == []
