"""Compare methods under the open-set model attribution protocol: `python run_all.py --methods pose,dias`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from benchmark.commands.run_all import console_main

if __name__ == "__main__":
    sys.exit(console_main())
