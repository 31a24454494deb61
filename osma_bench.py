"""The public face for plugin authors: `from osma_bench import NetworkMethod, register`.

An installation claims this module alone. The packages datasets, methods and benchmark are imported
from the checkout, whose root comes first on the path: an installed top-level "datasets" would hide
another well-known package of that name.
"""

from __future__ import annotations

import sys
from pathlib import Path

_CHECKOUT = str(Path(__file__).resolve().parent)
if _CHECKOUT not in sys.path:
    sys.path.insert(0, _CHECKOUT)

from datasets.errors import UserError  # noqa: E402
from datasets.types import ImageSet, Split  # noqa: E402
from methods.core.batches import Batch, Batches, normalise  # noqa: E402
from methods.core.method import Discovery, DiscoveryMethod, Method, NotFitted, Prediction, Task  # noqa: E402
from methods.core.network_method import NetworkConfig, NetworkMethod  # noqa: E402
from methods.core.networks.simple_cnn import Dct2d, SimpleCnn  # noqa: E402
from methods.core.post_hoc import PostHocMethod  # noqa: E402
from methods.core.registry import register  # noqa: E402
from methods.core.run import Run  # noqa: E402
from methods.core.settings import Settings  # noqa: E402
from methods.core.training import TrainingPlan  # noqa: E402

__all__ = [
    "Batch",
    "Batches",
    "Dct2d",
    "Discovery",
    "DiscoveryMethod",
    "ImageSet",
    "Method",
    "NetworkConfig",
    "NetworkMethod",
    "NotFitted",
    "PostHocMethod",
    "Prediction",
    "Run",
    "Settings",
    "SimpleCnn",
    "Split",
    "Task",
    "TrainingPlan",
    "UserError",
    "normalise",
    "register",
]
