"""`python -m tests.benchmark.toy_run_all`: run_all.py on toy data and with the plugins of these tests, as a process."""

from __future__ import annotations

import sys

import pytest

from benchmark.commands import run
from benchmark.commands.run_all import console_main
from tests.benchmark.toy import ToyRequest, stub_plugins

if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        stub_plugins(patch)
        patch.setattr(run, "DataRequest", ToyRequest)
        sys.exit(console_main())
