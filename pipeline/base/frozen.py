"""Values that are checked once and then stay as they are."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.base.errors import UserError, did_you_mean, quoted


class Frozen(BaseModel):
    """A section of settings: fixed once read, and strict about its keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], value: Any, where: Path) -> Model:
    """Check `value` against `model`.

    Raises:
        UserError: the first fault, by the file `where` and the key.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{where}: {_explained(model, error)}") from None


def _explained(model: type[BaseModel], error: ValidationError) -> str:
    """What is wrong, and at which key."""
    faults = error.errors()
    # A misspelt key is both unknown and missing; "unknown" tells more.
    unknown = ("extra_forbidden", "invalid_key")
    fault = next((each for each in faults if each["type"] in unknown), faults[0])
    key = ".".join(str(part)[:60] for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = _fields_at(model, fault["loc"][:-1])
        hint = did_you_mean(str(fault["loc"][-1]), known, f"known here: {', '.join(known)}")
        return f"{key}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{key}: missing; give it a value"
    reason = fault["msg"].removeprefix("Value error, ")
    if isinstance(fault["input"], str | int | float | bool | None):
        reason += f", not {quoted(fault['input'])}"
    return f"{key}: {reason}" if key else reason


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
