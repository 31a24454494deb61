"""Fixtures of tests that decode files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datasets.pixels.cache import ENVIRONMENT
from tests.datasets.osma_tree import Tree, build


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for one test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv(ENVIRONMENT, str(folder))
    return folder


@pytest.fixture(scope="session")
def whole_tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A small OSMA to be read, shared by all tests."""
    return build(tmp_path_factory.mktemp("osma"))


@pytest.fixture
def tree(whole_tree: Tree, tmp_path: Path) -> Tree:
    """A small OSMA to be broken, a test's own."""
    shutil.copytree(whole_tree.root, tmp_path / "osma")
    return Tree(tmp_path / "osma", dict(whole_tree.lines))
