"""How much of a data set is used, and at which size."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DataSettings(BaseModel):
    """The data part of a preset. `None` means: all there are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(default=128, ge=16, multiple_of=16)  # side in pixels
    train_per_class: int | None = Field(default=None, ge=1)
    val_per_class: int | None = Field(default=None, ge=1)
    test_per_class: int | None = Field(default=None, ge=1)
