"""The MLflow runs of submission files: found by the file's digest, and added to later."""

from pathlib import Path
from typing import Any

import mlflow
from mlflow.tracking import MlflowClient

from pipeline.base.console import warn
from pipeline.base.errors import UserError, first_line
from pipeline.base.paths import DATABASE
from pipeline.base.settings import OFF, Settings
from pipeline.tracking.mlflow_store import Store
from pipeline.tracking.registry import CHAMPION


def open_store(settings: Settings, look: bool = False) -> Store:
    """The store that params.yaml names; with `look` nothing in it is changed."""
    return Store(settings.tracking.uri, DATABASE.resolve(), settings.competition.name, look)


def find_submission(settings: Settings, digest: str) -> str | None:
    """The id of the newest run that made a submission file, by its SHA-256, or None."""
    if settings.tracking.uri == OFF:
        return None
    try:
        store = open_store(settings)
        found = store.client.search_runs(
            [store.experiment], f"tags.submission_sha256 = '{digest}'", max_results=1
        )
    except Exception as error:  # whatever a tracking server or its client raises
        warn(f"MLflow does not answer: {first_line(error)}")
        return None
    return found[0].info.run_id if found else None


def load_champion(settings: Settings) -> Any:
    """The registry's best model, which takes raw pixels.

    Raises:
        UserError: there is none, or MLflow does not answer.
    """
    try:
        open_store(settings)
        return mlflow.pyfunc.load_model(f"models:/{settings.competition.name}@{CHAMPION}")
    except Exception as error:  # whatever a tracking server or its client raises
        hint = "`make repro` makes one"
        raise UserError(f"there is no champion to load ({first_line(error)}); {hint}") from None


def add_to_run(
    run_id: str | None,
    metrics: dict[str, float] | None = None,
    tags: dict[str, str] | None = None,
    file: Path | None = None,
) -> None:
    """Add to a run that has ended, such as a score that came later; a fault only warns."""
    if run_id is None:
        return
    client: Any = MlflowClient()
    try:
        for key, value in (metrics or {}).items():
            client.log_metric(run_id, key, value)
        for name, text in (tags or {}).items():
            client.set_tag(run_id, name, text)
        if file:
            client.log_artifact(run_id, str(file))
    except Exception as error:  # the same
        warn(f"MLflow did not take it: {first_line(error)}")
