"""The one exception that means "the request cannot be run": a user's mistake, not a bug of ours."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # also what ends a line, and half characters


class UserError(Exception):
    """Bad input, told in one line: what is wrong, where, and what to do about it.

    The command line prints the message without a traceback and exits with status 2. Anything else
    that is raised is a bug and keeps its traceback. Control characters, which names of files and pieces
    of content bring along, are made visible, so that the line stays one.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_CONTROL.sub(lambda sign: ascii(sign[0])[1:-1], message))
