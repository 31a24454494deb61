"""Settings of methods and of runs: typed, validated, frozen, an unknown key is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datasets.core.text import did_you_mean
from datasets.errors import UserError

PRESET_NAMES = ("paper", "quick", "smoke", "standard")  # by which methods declare what a preset changes


class Settings(BaseModel):
    """Base of every `Config`. The defaults are the published values, which the preset `paper` uses.

    A setting that is called otherwise than it was keeps its former name in stored results and old commands.

    Attributes:
        FORMER: present names by former ones; None for a setting that never acted and is gone, which stored
            results may still hold. A subclass adds to those of its base.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    FORMER: ClassVar[Mapping[str, str | None]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **arguments: Any) -> None:
        """Refuse a class that declares a setting under its former name: nothing would read it."""
        super().__pydantic_init_subclass__(**arguments)
        for former, present in cls.former_names().items():
            if present is not None and former in cls.model_fields:
                raise TypeError(f"{cls.__name__} declares '{former}', which is called '{present}' now")

    @classmethod
    def former_names(cls) -> dict[str, str | None]:
        """`FORMER` of this class and of those that it is built on."""
        declared = [vars(base).get("FORMER", {}) for base in reversed(cls.__mro__)]
        return {former: present for names in declared for former, present in names.items()}

    @classmethod
    def under_present_names(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values with former names replaced by present ones.

        Raises:
            UserError: one setting is given under both of its names.
        """
        former = cls.former_names()
        for name in values:
            present = former.get(name)
            if present in values:
                raise UserError(f"'{name}' is the former name of the setting '{present}'; give one of them")
        return {former.get(name) or name: value for name, value in values.items()}

    @classmethod
    def gone(cls) -> set[str]:
        """Names of settings that never acted and are no more."""
        return {name for name, present in cls.former_names().items() if present is None} - {*cls.model_fields}

    @model_validator(mode="before")
    @classmethod
    def _present(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {name: value for name, value in cls.under_present_names(values).items() if name not in cls.gone()}


class RunSettings(Settings):
    """How a cell is computed; the same for all methods."""

    threads: int = Field(default=1, ge=1)  # per cell; changes rounding, so it is part of a cell's hash
    max_steps: int | None = Field(default=None, ge=1)  # stop every stage after so many steps: for trying things out
    resident_megabytes: int = Field(default=4096, ge=0)  # largest image set that is kept on the device
    inference_batch: int = Field(default=256, ge=1)  # images per forward pass without gradients
    save_every_seconds: float = Field(default=60.0, ge=0)  # how much work a kill may cost


def validated(settings: type[BaseModel], values: Mapping[str, Any], owner: str) -> Any:
    """Build settings; a mistake becomes one line that names the setting and, if it was misspelt, a neighbour."""
    try:
        found = settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            fields = settings.model_fields
            hint = did_you_mean(key, fields)
            raise UserError(f"{owner} has no setting '{key}'{hint}; it has {', '.join(fields)}") from None
        raise UserError(f"setting {owner}.{key}={first['input']!r} is refused: {first['msg'].lower()}") from None
    for name, value in values.items():
        _refuse_converted(f"{owner}.{name}", value, getattr(found, name, value))
    return found


def _refuse_converted(name: str, given: Any, taken: Any) -> None:
    """Text is no number and a number is no truth value, although pydantic would make one of the other.

    Raises:
        UserError: it did.
    """
    if isinstance(given, (list, tuple)) and isinstance(taken, (list, tuple)) and len(given) == len(taken):
        for position, pair in enumerate(zip(given, taken, strict=True)):
            _refuse_converted(f"{name}.{position}", *pair)
    if isinstance(given, str) and isinstance(taken, (bool, int, float)):
        raise UserError(f"setting {name}={given!r} is text; write {taken} without quotes")
    if isinstance(given, (bool, int, float)) and isinstance(given, bool) != isinstance(taken, bool):
        wanted = "true or false" if isinstance(taken, bool) else "a number"
        raise UserError(f"setting {name}={given!r} is refused: write {wanted}")


def unknown_preset(name: str) -> str:
    """What is wrong with the name of a preset, and which ones there are."""
    return f"unknown preset '{name}'{did_you_mean(name, PRESET_NAMES)}; use one of {', '.join(PRESET_NAMES)}"
