"""Base+AM: POSE without its diversity loss; augmentation models only have to reconstruct.

Paper: Yang et al., CVPR 2023, https://arxiv.org/abs/2303.06877 (ablation "Base+AM"). The official code
has no switch for it: both weights of L_div are 0. Everything else is as in pose.py.
Cost: 9 forward-equivalents per batch once an old AM exists, against 3 of Base.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from methods.core.registry import register
from methods.pose import Pose, PoseConfig


class BaseAmConfig(PoseConfig):
    """POSE's settings with L_div off."""

    close_weight: float = Field(default=0.0, ge=0)
    push_weight: float = Field(default=0.0, ge=0)


@register("base_am")
class BaseAm(Pose):
    """Base with progressively trained augmentation models that only reconstruct."""

    title = "Base+AM"
    tables: ClassVar[tuple[str, ...]] = ("open-set",)
    Config = BaseAmConfig
    SEARCH = {}  # an ablation differs from POSE in L_div alone
    ABLATIONS = {}

    @classmethod
    def released_classifier(cls, folder: Path, split: str) -> Path:
        """The last of the networks that were trained without L_div; the published splits 1 and 2 have it."""
        return cls.released_course(folder, split) / "model_epoch20.pth"

    @classmethod
    def released_course(cls, folder: Path, split: str) -> Path:
        return folder / split / "models_wo_div"
