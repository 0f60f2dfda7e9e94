"""Values that are checked once and then stay as they are."""

from pathlib import Path
from typing import Any, TypeVar, get_args

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
    location, inner = _without_tags(model, fault["loc"])
    key = ".".join(str(part)[:60] for part in location)
    if fault["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in inner.model_fields.items()]
        hint = did_you_mean(str(fault["loc"][-1]), known, f"known here: {', '.join(known)}")
        return f"{key}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{key}: missing; give it a value"
    reason = fault["msg"].removeprefix("Value error, ")
    if isinstance(fault["input"], str | int | float | bool | None):
        reason += f", not {quoted(fault['input'])}"
    return f"{key}: {reason}" if key else reason


def _without_tags(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[list[int | str], type[BaseModel]]:
    """A fault's place as the file has it, and the innermost section that it lies in.

    Where a section is of one of several kinds, pydantic adds the kind's name.
    """
    shown: list[int | str] = []
    kinds: dict[str, type[BaseModel]] = {}
    for part in location:
        if part in kinds:
            model, kinds = kinds[str(part)], {}
            continue
        shown.append(part)
        field = next(
            (each for name, each in model.model_fields.items() if part in (name, each.alias)), None
        )
        options = [field.annotation, *get_args(field.annotation)] if field else []
        models = [
            each for each in options if isinstance(each, type) and issubclass(each, BaseModel)
        ]
        if len(models) == 1:
            model = models[0]
        tagged = [each for each in models if "kind" in each.model_fields]
        kinds = {get_args(each.model_fields["kind"].annotation)[0]: each for each in tagged}
    return shown, model
