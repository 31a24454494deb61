"""`python -m benchmark new-method NAME`: a plugin that runs, and the file for its tests."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from datasets.errors import UserError

TEMPLATES = Path(__file__).parents[1] / "templates"


def new_method(name: str, checkout: Path) -> list[Path]:
    """Write methods/NAME.py and tests/methods/test_NAME.py.

    Returns:
        The two files.

    Raises:
        UserError: the name is no module name, or something of that name exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(f"'{name}' cannot name a method; use lower-case letters, digits and underscores")
    if (checkout / "methods" / name).is_dir():
        raise UserError(f"{checkout / 'methods' / name} is a package; choose another name")
    targets = {
        checkout / "methods" / f"{name}.py": "method.txt",
        checkout / "tests" / "methods" / f"test_{name}.py": "test_method.txt",
    }
    for path in targets:
        if path.exists():
            raise UserError(f"{path} exists; choose another name")
    words = {"{name}": name, "{Class}": "".join(part.capitalize() for part in name.split("_"))}
    for path, template in targets.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(targets)
