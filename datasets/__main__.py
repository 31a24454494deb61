"""`python -m datasets`: see `datasets.commands`."""

import sys

from datasets.commands import main
from datasets.console import exit_status

if __name__ == "__main__":
    sys.exit(exit_status(main))
