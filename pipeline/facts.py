"""What a run was and what it scored, gathered from its files for the report."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pipeline.config import PARAMS, Settings, parse_yaml, read_yaml
from pipeline.console import UserError, duration
from pipeline.files import (
    AGAIN,
    BLENDED,
    METRICS,
    SUBMISSION,
    TRAINED,
    TUNED,
    read_json,
    sha256_file,
)
from pipeline.ledger import number, read_ledger
from pipeline.recipe import Recipe, load_recipe
from pipeline.revision import git
from pipeline.scores import difference_error
from pipeline.tracking import flatten

# What says how large a layer is; norms and activations are left out of the short form.
SIZES = ("filters", "units", "kernel_size", "pool_size", "rate", "cropping")
LEFT_OUT = ("BatchNormalization", "ReLU", "Activation", "LeakyReLU", "Flatten")


def table(path: Path, *columns: str) -> pd.DataFrame:
    """A stage's CSV file.

    Raises:
        UserError: it is missing, is not a CSV file, or lacks one of `columns`.
    """
    try:
        read = pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; `dvc repro` makes it") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); {AGAIN}") from None
    for column in columns:
        if column not in read.columns:
            raise UserError(f"{path} has no column {column}; {AGAIN}")
    return read


@dataclass(frozen=True)
class Run:
    """One run of the pipeline, as its files tell it."""

    settings: Settings
    cv: float
    low: float  # of the CV score's 95% interval
    high: float
    rows: int  # that the CV score is of
    board: float | None  # local leaderboard, or Kaggle's public score; None: not known
    board_rows: int
    members: dict[str, dict[str, float]]  # weight and cv_accuracy of each recipe
    trained: dict[str, dict[str, Any]]  # metrics.json of each recipe
    sha256: str  # of the submission

    @property
    def errors(self) -> int:
        """Wrong rows, out-of-fold."""
        return round((1 - self.cv) * self.rows)

    @property
    def gap(self) -> tuple[float, float] | None:
        """Leaderboard minus CV, and what chance alone gives it; None without a leaderboard."""
        if self.board is None:
            return None
        error = difference_error((self.cv, self.rows), (self.board, self.board_rows))
        return self.board - self.cv, error


def load_run(settings: Settings) -> Run:
    """Read the last run's files.

    Raises:
        UserError: a file is missing, damaged, or of another run.
    """
    final = read_json(METRICS, "cv_accuracy", "cv_accuracy_low", "cv_accuracy_high")
    blended = read_json(BLENDED / "metrics.json", "cv_accuracy", "cv_rows", "members")
    if set(blended["members"]) != set(settings.recipes):
        raise UserError(f"{PARAMS}: recipes: others than the last run's; run `dvc repro`")
    if final["cv_accuracy"] != blended["cv_accuracy"]:
        raise UserError(f"{METRICS} and {BLENDED} are of different runs; run `dvc repro`")
    if not SUBMISSION.exists():
        raise UserError(f"{SUBMISSION} is missing; `dvc repro` makes it")
    digest = sha256_file(SUBMISSION)
    board = final.get("leaderboard_accuracy")
    if board is None:
        public = [number(row.public_score) for row in read_ledger() if row.sha256 == digest]
        board = next((score for score in reversed(public) if score is not None), None)
    with SUBMISSION.open("rb") as file:
        board_rows = sum(1 for _ in file) - 1
    wanted = ("cv_accuracy", "cv_accuracy_std", "folds", "epochs", "precision", "machine")
    return Run(
        settings=settings,
        cv=final["cv_accuracy"],
        low=final["cv_accuracy_low"],
        high=final["cv_accuracy_high"],
        rows=blended["cv_rows"],
        board=board,
        board_rows=board_rows,
        members=blended["members"],
        trained={
            name: read_json(TRAINED / name / "metrics.json", *wanted) for name in settings.recipes
        },
        sha256=digest,
    )


def changed_settings() -> list[tuple[str, Any, Any]] | None:
    """Settings that differ from the committed ones: key, committed, here; None if none are."""
    try:
        committed = parse_yaml(git("show", f"HEAD:./{PARAMS}"))
    except (OSError, subprocess.CalledProcessError, yaml.YAMLError):
        return None
    before, now = flatten(committed), flatten(read_yaml(PARAMS))
    return [
        (key, before.get(key), now.get(key))
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]


def in_short(recipe: Recipe) -> str:
    """The layers that have a size, with it: `Conv2D 32 5x5, MaxPooling2D, Dense 192`."""
    layers = []
    for named in recipe.layers:
        ((name, arguments),) = named.items()
        if name not in LEFT_OUT:
            sizes = {size: arguments[size] for size in SIZES if size in arguments}
            square = ("kernel_size", "pool_size")
            said = (
                f"{n}x{n}" if size in square and isinstance(n, int) else str(n)
                for size, n in sizes.items()
            )
            layers.append(" ".join([name, *said]))
    return ", ".join(layers)


def tuning(name: str) -> str:
    """What tuning found for a recipe, in words."""
    found = read_yaml(TUNED / f"{name}.yaml")
    if "best" not in found or "own" not in found:
        return "not tuned"
    own, best = found["own"]["accuracy"], found["best"]["accuracy"]
    taken = "taken" if found.get("taken") else "the recipe's own were kept"
    return (
        f"{found['trials']} trials of {found['rows']:,} rows: best {best:.4f} against the recipe's "
        f"own {own:.4f}; {len(found['confirmed'])} tried in full; {taken}"
    )


def recipes(run: Run) -> list[dict[str, Any]]:
    """What is worth knowing of each recipe, as the report shows it."""
    shown = []
    for name, trained in run.trained.items():
        recipe = load_recipe(name, tuned=True)
        folds = np.array(trained["folds"])
        by_chance = np.sqrt(run.cv * (1 - run.cv) / (run.rows / len(folds)))
        shown.append(
            {
                "name": name,
                "description": recipe.description,
                "layers": in_short(recipe),
                "augmentation": ", ".join(
                    f"{key.removesuffix('_range')} {value:g}"
                    for key, value in recipe.augmentation.model_dump(exclude_defaults=True).items()
                ),
                "epochs": trained["epochs"],
                "batch_size": recipe.batch_size,
                "optimizer": next(iter(recipe.optimizer)),
                "tuning": tuning(name),
                "weight": run.members[name]["weight"],
                "cv": trained["cv_accuracy"],
                "folds": folds,
                "std": trained["cv_accuracy_std"],
                "std_by_chance": float(by_chance),
                "training": duration(trained.get("seconds", 0)),
            }
        )
    return shown
