"""params.yaml as frozen, typed settings; a wrong key or value is one clear error."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pipeline.base.competition import Competition, load_competition
from pipeline.base.frozen import Frozen, validate
from pipeline.base.paths import EXPERIMENT, PARAMS
from pipeline.base.yaml_file import read_yaml

OFF = "off"  # tracking.uri: log nothing
QUICK = "quick"  # the recipe of `make quick`
RECIPE_NAME = r"^[a-z0-9][a-z0-9_]*$"
RecipeName = Annotated[str, Field(pattern=RECIPE_NAME, max_length=100)]


class Preprocess(Frozen):
    """How the rows are split into folds."""

    folds: int = Field(ge=2, le=100)
    rows: int | None = Field(ge=1)


class Tune(Frozen):
    """How much a study may spend."""

    trials: int = Field(ge=0, le=100_000)
    rows: int = Field(ge=1)
    epochs: int | None = Field(ge=1, le=100_000)
    pruner: Literal["none", "median", "hyperband"]
    confirm: int = Field(ge=1)
    batch: int = Field(ge=1, le=1000)


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
    """How long to wait for Kaggle's service, and how often to try."""

    timeout: float = Field(gt=0, le=86_400, strict=False)
    attempts: int = Field(ge=1, le=100)


class Compute(Frozen):
    """Where networks are trained, and how many at a time."""

    engine: Literal["local", "ray"]
    address: str | None
    workers: int | None = Field(ge=1, le=1024)
    gpus: float | None = Field(ge=0, le=64, strict=False)
    mixed: bool


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

    def changed(self, **sections: Any) -> "Settings":
        """A copy with some values replaced: `settings.changed(seed=1, tune={"trials": 0})`."""
        update = {
            name: getattr(self, name).model_copy(update=value) if isinstance(value, dict) else value
            for name, value in sections.items()
        }
        return self.model_copy(update=update)

    @property
    def scope(self) -> str:
        """`quick run`, `slice of 2,000 rows`, or of a whole run an empty text.

        What is less than a whole run is marked as such wherever its scores are shown.
        """
        if self.preprocess.rows:
            return f"slice of {self.preprocess.rows:,} rows"
        return "quick run" if QUICK in (*self.recipes, EXPERIMENT) else ""

    def deciding(self) -> dict[str, Any]:
        """All settings but those of tracking, as JSON takes them: what names a run."""
        return self.model_dump(mode="json", exclude={"tracking"})


def settings_of(values: Any, path: Path = PARAMS) -> Settings:
    """The settings of params.yaml's values, with the competition that they name.

    Raises:
        UserError: a fault, by its file and key.
    """
    if isinstance(values, dict) and "competition" in values:
        values = values | {"competition": load_competition(values["competition"], path)}
    return validate(Settings, values, path)


def load_settings(path: Path = PARAMS) -> Settings:
    """Read and check params.yaml, and the description of the competition that it names."""
    return settings_of(read_yaml(path), path)
