"""`python -m datasets`: see `datasets.commands.main`."""

import sys

from datasets.commands.main import main
from datasets.console import exit_status

if __name__ == "__main__":
    sys.exit(exit_status(main))
