"""params.yaml as frozen, typed settings; a wrong key or value is one clear error."""

import math
import re
from collections.abc import Hashable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.console import UserError, quoted
from pipeline.files import read_text

PARAMS = Path("params.yaml")
YAML_BYTES = 100_000  # settings written by people are not longer
OFF = "off"  # tracking.uri: log nothing
PIXELS = 1 << 18  # of an image; the columns of a file
RECIPE_NAME = r"^[a-z0-9][a-z0-9_]*$"
RecipeName = Annotated[str, Field(pattern=RECIPE_NAME, max_length=100)]
ColumnName = Annotated[str, Field(pattern=r'^[^,"\r\n]+$', max_length=100)]


class Frozen(BaseModel):
    """A section of settings: fixed once read, and strict about its keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Competition(Frozen):
    """What the competition is: where its data comes from, and the shape of its files."""

    source: Literal["embedded", "kaggle"]
    slug: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    deal: int = Field(ge=0)
    train_rows: int | None = Field(ge=1)
    test_rows: int | None = Field(ge=1)
    image_shape: tuple[int, int, int] = Field(strict=False)
    classes: int = Field(ge=2, le=256)
    label_column: ColumnName
    pixel_prefix: str = Field(pattern=r'^[^,"\r\n]*$', max_length=100)
    id_column: ColumnName
    prediction_column: ColumnName

    @field_validator("image_shape")
    @classmethod
    def _positive(cls, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        if min(shape) < 1:
            raise ValueError("every side must be 1 or more")
        if math.prod(shape) > PIXELS:
            raise ValueError(f"an image may have {PIXELS:,} values at the most")
        return shape

    @model_validator(mode="after")
    def _columns_differ(self) -> "Competition":
        if self.id_column == self.prediction_column:
            raise ValueError(f"id_column and prediction_column are both {self.id_column!r}")
        if self.label_column in self.pixel_columns:
            raise ValueError(f"label_column {self.label_column!r} is a pixel's column too")
        return self

    @property
    def pixel_columns(self) -> list[str]:
        """The pixel columns' names, in order: row by row, channels last."""
        height, width, channels = self.image_shape
        return [f"{self.pixel_prefix}{i}" for i in range(height * width * channels)]


class Preprocess(Frozen):
    """How the rows are dealt into folds."""

    folds: int = Field(ge=2, le=100)
    rows: int | None = Field(ge=1)


class Tune(Frozen):
    """How much a study may spend."""

    trials: int = Field(ge=0, le=100_000)
    rows: int = Field(ge=1)
    epochs: int | None = Field(ge=1, le=100_000)
    pruner: Literal["none", "median", "hyperband"]
    confirm: int = Field(ge=1)


class Train(Frozen):
    """How every recipe is trained."""

    epochs: int | None = Field(ge=1, le=100_000)
    repeats: int = Field(ge=1, le=1000)
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]


class Ensemble(Frozen):
    """How recipes are blended."""

    method: Literal["mean", "hill_climb"]


class Tracking(Frozen):
    """Where MLflow is."""

    uri: str | None


class Kaggle(Frozen):
    """How patient to be with Kaggle's service."""

    timeout: float = Field(gt=0, le=86_400, strict=False)
    attempts: int = Field(ge=1, le=100)


class Compute(Frozen):
    """How much of the machine training takes."""

    workers: int | None = Field(ge=1, le=1024)


class Settings(Frozen):
    """The whole of params.yaml."""

    seed: int = Field(ge=0, lt=2**31)
    competition: Competition
    preprocess: Preprocess
    recipes: tuple[RecipeName, ...] = Field(min_length=1, strict=False)
    tune: Tune
    train: Train
    ensemble: Ensemble
    tracking: Tracking
    compute: Compute
    kaggle: Kaggle

    @field_validator("recipes")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"listed twice: {', '.join(twice)}")
        return names


class _PlainLoader(yaml.SafeLoader):
    """YAML without its surprises: a key given twice, an alias, inf and nan are errors."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name) is not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for given, _ in node.value:
            key = self.construct_object(given, deep=True)
            if key in seen:
                line = given.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: the key {quoted(key)} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        value = super().construct_yaml_float(node)
        if not math.isfinite(value):
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"line {line}: {quoted(node.value)}: a finite number is wanted")
        return value


# YAML 1.2's words for true and false, as DVC reads them; to PyYAML `off` would be false too.
_BOOL = "tag:yaml.org,2002:bool"
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in _PlainLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver(
    _BOOL, re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_FLOAT = "tag:yaml.org,2002:float"
_PlainLoader.add_constructor(_FLOAT, _PlainLoader.construct_yaml_float)
# 1e-3 is a number to YAML 1.2, to DVC and to people; PyYAML alone would take it for text.
_PlainLoader.add_implicit_resolver(
    _FLOAT, re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("+-0123456789")
)


def parse_yaml(text: str) -> Any:
    """A YAML text's value: plain values only, never an object of a class that the text names.

    Raises:
        yaml.YAMLError: it is not YAML, repeats a key, or has what this loader does not allow.
    """
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506
    except RecursionError:
        raise yaml.YAMLError("it is nested too deep") from None
    except (ValueError, TypeError, AttributeError) as error:  # a list as a key, a 13th month
        raise yaml.YAMLError(str(error)) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top is a mapping.

    Raises:
        UserError: the file is missing, is not YAML, repeats a key, or is not a mapping.
    """
    try:
        value = parse_yaml(read_text(path, YAML_BYTES))
    except FileNotFoundError as error:
        hint = "is this the project's folder?"
        raise UserError(f"{path} cannot be read: {error.strerror}; {hint}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is not good YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        found = "empty" if value is None else f"of type {type(value).__name__}"
        raise UserError(f"{path} must be a mapping of keys to values; it is {found}")
    return value


Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], value: Any, where: Path) -> Model:
    """Check `value` against `model`; the first fault becomes a `UserError` naming file and key."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # A misspelt key is both unknown and missing; the first tells more.
        faults = error.errors()
        unknown = ("extra_forbidden", "invalid_key")
        fault = next((each for each in faults if each["type"] in unknown), faults[0])
        key = ".".join(str(part)[:60] for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = _fields_at(model, fault["loc"][:-1])
            close = get_close_matches(str(fault["loc"][-1]), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
            raise UserError(f"{where}: {key}: unknown key; {hint}") from None
        if fault["type"] == "missing":
            raise UserError(f"{where}: {key}: missing; give it a value") from None
        said = fault["msg"].removeprefix("Value error, ")
        if isinstance(fault["input"], str | int | float | bool | None):
            said += f", not {quoted(fault['input'])}"
        raise UserError(f"{where}: {key}: {said}" if key else f"{where}: {said}") from None


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)


def load_settings(path: Path = PARAMS) -> Settings:
    """Read and check params.yaml."""
    return validate(Settings, read_yaml(path), path)
