"""Settings of methods and of runs: typed, validated, frozen, an unknown key is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of every `Config`. The defaults are the published values, which the preset `paper` uses."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunSettings(Settings):
    """How a cell is computed; the same for all methods."""

    threads: int = Field(default=1, ge=1)  # per cell; changes rounding, so it is part of a cell's hash
    max_steps: int | None = Field(default=None, ge=1)  # stop every stage after so many steps: for trying things out
    resident_megabytes: int = Field(default=4096, ge=0)  # largest image set that is kept on the device
    inference_batch: int = Field(default=256, ge=1)  # images a forward pass without gradients
    save_every_seconds: float = Field(default=60.0, ge=0)  # how much work a kill may cost
