"""The one exception that means "the request cannot be run": a user's mistake, not a bug of ours."""


class UserError(Exception):
    """Bad input, told in one line: what is wrong, where, and what to do about it.

    The command line prints the message without a traceback and exits with status 2. Anything else
    that is raised is a bug and keeps its traceback.
    """
