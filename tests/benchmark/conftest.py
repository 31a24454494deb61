"""Every test here sees the plugins of this folder and none of the repository's."""

from __future__ import annotations

import pytest

from methods.core.registry import Registry
from tests.benchmark.toy import stub_plugins


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return stub_plugins(monkeypatch)
