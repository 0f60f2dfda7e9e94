"""What one stage writes and others read: the tune stage's YAML and each stage's metrics.json."""

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError

from pipeline.base.errors import UserError
from pipeline.base.files import AGAIN, read_json, write_json
from pipeline.base.frozen import Frozen
from pipeline.base.paths import BLENDED, SCORES, TRAINED, TUNED
from pipeline.base.yaml_file import read_yaml, write_yaml


class Result(Frozen):
    """A stage's result in a file of its own."""

    @classmethod
    def of(cls, values: Any, path: Path) -> Self:
        """`values` as this result.

        Raises:
            UserError: they are not what this code writes; it names the file and the key.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            fault = error.errors()[0]
            key = ".".join(map(str, fault["loc"])) or "the file"
            raise UserError(
                f"{path}: {key}: {fault['msg']}; another version of the code wrote it; {AGAIN}"
            ) from None


class Score(Frozen):
    """What some choices of a recipe's values scored on the rows that trials see."""

    accuracy: float
    accuracy_low: float  # of the 95% interval
    accuracy_high: float
    choices: dict[str, Any]
    trial: int | None = None  # counted from 1, of the trials that ended


class Confirmed(Frozen):
    """A trial trained at full length, and how it did against the recipe's own values."""

    trial: int
    values: dict[str, Any]
    accuracy: float
    own_accuracy: float
    rows: int
    p_value: float
    beats: bool


class Tuned(Result):
    """The tune stage's outcome for a recipe: the values to train with, by dotted key, and why."""

    values: dict[str, Any] = Field(default_factory=dict)
    taken: bool = False
    own: Score | None = None
    best: Score | None = None
    confirmed: list[Confirmed] = Field(default_factory=list)
    trials: int = 0
    pruned: int = 0
    seconds: float = 0.0
    rows: int = 0
    epochs: int = 0
    study: str | None = None  # its key: what decides its trials, as a digest
    first: list[dict[str, Any]] = Field(default_factory=list)  # the choices of the first trials

    @classmethod
    def read(cls, name: str, folder: Path = TUNED) -> Self:
        """Read a recipe's outcome."""
        path = folder / f"{name}.yaml"
        return cls.of(read_yaml(path), path)

    def write(self, name: str, folder: Path = TUNED) -> None:
        """Write a recipe's outcome; what was not found out is left out."""
        values = self.model_dump(exclude_defaults=True, exclude_none=True)
        write_yaml(folder / f"{name}.yaml", {"values": self.values, "taken": self.taken} | values)


class Machine(Frozen):
    """Where networks were trained."""

    processor: str
    family_model: str = ""
    cores: int
    threads: int = 1  # of a process that trains
    gpus: list[str]
    environment: dict[str, str] = Field(default_factory=dict)  # what sets threads and kernels
    tensorflow: str
    keras: str


class Trained(Result):
    """The train stage's metrics.json: a recipe's accuracy on every fold."""

    cv_accuracy: float
    cv_accuracy_std: float  # over folds
    folds: list[float]
    seconds: float  # of training, all networks added up
    run_key: str  # finds the run in MLflow
    epochs: int
    precision: str
    machine: Machine

    @classmethod
    def read(cls, name: str) -> Self:
        """Read a recipe's metrics."""
        path = TRAINED / name / "metrics.json"
        return cls.of(read_json(path), path)

    def write(self, name: str) -> None:
        """Write a recipe's metrics."""
        write_json(TRAINED / name / "metrics.json", self.model_dump())


class Member(Frozen):
    """A recipe in the blend."""

    weight: float
    cv_accuracy: float  # alone


class Blended(Result):
    """The ensemble stage's metrics.json."""

    PATH: ClassVar[Path] = BLENDED / "metrics.json"

    cv_accuracy: float
    cv_accuracy_low: float  # of the 95% interval
    cv_accuracy_high: float
    cv_rows: int
    cv_rows_sha256: str  # which rows, and their labels
    cv_log_loss: float
    members: dict[str, Member]
    run_key: str = ""  # finds the run in MLflow

    @classmethod
    def read(cls) -> Self:
        """Read the blend's metrics."""
        return cls.of(read_json(cls.PATH), cls.PATH)

    def write(self) -> None:
        """Write the blend's metrics."""
        write_json(self.PATH, self.model_dump())


class Scores(Result):
    """submissions/metrics.json: what the submission file is expected to score."""

    cv_accuracy: float
    cv_accuracy_low: float
    cv_accuracy_high: float
    leaderboard_accuracy: float | None = None  # of the embedded competition's local leaderboard

    @classmethod
    def read(cls) -> Self:
        """Read the scores."""
        return cls.of(read_json(SCORES), SCORES)

    def write(self) -> None:
        """Write the scores."""
        write_json(SCORES, self.model_dump(exclude_none=True))
