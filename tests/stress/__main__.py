"""`python -m tests.stress KIND [--count N] [--seed S]`: attack small runs, and count what they survive.

A kind is a module of this folder with `main(count, seed) -> int`, 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path


def kinds() -> list[str]:
    """Modules whose names begin with "_" serve the kinds; those with "test_" are for pytest."""
    names = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in names if not name.startswith(("_", "test_")))


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.stress", description=__doc__)
    parser.add_argument("kind", choices=kinds())
    parser.add_argument("--count", type=int, default=100, help="attacks (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the instants (default: %(default)s)")
    options = parser.parse_args()
    attack = importlib.import_module(f"tests.stress.{options.kind}")
    return int(attack.main(options.count, options.seed))


if __name__ == "__main__":
    sys.exit(main())
