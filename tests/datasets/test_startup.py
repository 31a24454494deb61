"""What starts fast: looking at a data set's name needs no library that takes long to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "timm", "sklearn", "skimage", "scipy", "matplotlib", "pandas", "joblib")


def loaded_after(statements: str) -> list[str]:
    """Heavy libraries that a fresh interpreter has loaded."""
    code = f"{statements}\nimport sys\nsys.stdout.write(' '.join(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split() if done.stdout else []


FINGERPRINT = """
from datasets.catalogue import DataRequest
from datasets.settings import DataSettings
assert DataRequest("mini", None, DataSettings(image_size=64)).open().fingerprint
"""


@pytest.mark.parametrize(
    "statements",
    ["import datasets.catalogue", "import datasets.commands.main", FINGERPRINT],
    ids=["catalogue", "commands", "fingerprint of mini"],
)
def test_no_heavy_library_is_loaded(statements: str) -> None:
    assert loaded_after(statements) == []


def test_a_heavy_library_would_be_seen() -> None:
    assert loaded_after("import joblib") == ["joblib"]
