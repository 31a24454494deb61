"""The joblib back ends that run cells, and what has to be done before joblib knows them."""

from __future__ import annotations

from datasets.core.text import shortened
from datasets.errors import UserError

PATIENCE = 10  # seconds that a scheduler has to answer
BACKENDS = ("loky", "dask", "ray")


def register(backend: str) -> str:
    """Make a back end known to joblib; its name.

    Raises:
        UserError: its package is not installed.
    """
    if backend == "ray":
        try:
            from ray.util.joblib import register_ray
        except ImportError:
            raise UserError("--backend ray needs the package ray: pip install 'osma-bench[ray]'") from None
        register_ray()
    if backend == "dask":
        try:
            import distributed  # noqa: F401 - registers the back end
        except ImportError:
            raise UserError("--backend dask needs dask.distributed: pip install 'osma-bench[dask]'") from None
    return backend


def connect(backend: str, scheduler: str | None) -> None:
    """Join a running dask scheduler.

    Raises:
        UserError: another back end is asked for, the package is not installed, or nobody answers there in time.
    """
    if scheduler is None:
        return
    if backend != "dask":
        raise UserError(f"--scheduler {scheduler} is an address of dask; add --backend dask")
    try:
        from distributed import Client
    except ImportError:
        raise UserError("--scheduler needs dask.distributed: pip install 'osma-bench[dask]'") from None
    try:
        Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:  # a timeout is an OSError, a malformed address a ValueError
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"--scheduler {shortened(scheduler)} does not answer ({reason}); start it first") from None
