"""`python -m benchmark`: see `benchmark.commands.main`."""

import sys

from benchmark.commands.main import main
from datasets.console import exit_status

if __name__ == "__main__":
    sys.exit(exit_status(main))
