"""MLflow runs. The only module that imports mlflow; a fault here warns once and stops nothing."""

import functools
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

# Before mlflow is imported. By default an unreachable server blocks the first call for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow
import numpy as np
from mlflow.entities import Metric, Param, RunStatus
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

from pipeline.config import Settings
from pipeline.console import warn

# What decides a result, for "was it changed since the revision"; outputs do not count.
CODE_PATHS = ("pipeline", "experiments/recipes", "params.yaml", "dvc.yaml", "requirements.txt")
DVC_VARIABLES = ("DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")
for _name in ("alembic", "mlflow"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_P = ParamSpec("_P")
_T = TypeVar("_T")
_stopped = False  # after the first fault, for the rest of this process


def _never_stops(function: Callable[_P, _T]) -> Callable[_P, _T | None]:
    """A tracking call that cannot fail: a fault warns, and ends tracking for this process."""

    @functools.wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        global _stopped
        if _stopped:
            return None
        try:
            return function(*args, **kwargs)
        except Exception as error:  # whatever a tracking server or its client comes up with
            _stopped = True
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            warn(f"MLflow tracking stopped, the work goes on: {function.__name__}: {reason}")
            return None

    return guarded


def git_state() -> dict[str, str]:
    """The revision checked out, and whether the code or the settings differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        revision = git("rev-parse", "HEAD")
        dirty = bool(git("status", "--porcelain", "--", *CODE_PATHS))
    except (OSError, subprocess.CalledProcessError):
        return {"git_revision": "none", "git_dirty": "true"}
    return {"git_revision": revision, "git_dirty": str(dirty).lower()}


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": [1, 2]}}` -> `{"a.b.0": 1, "a.b.1": 2}`."""
    if isinstance(value, dict):
        pairs: Any = value.items()
    elif isinstance(value, list | tuple):
        pairs = enumerate(value)
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in pairs:
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


@contextmanager
def run(
    settings: Settings,
    name: str,
    *,
    key: str,
    parent: str | None = None,
    params: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
) -> Iterator[str | None]:
    """Open an MLflow run for the block; yield its id, or None where nothing is to be logged.

    A run of the same key and parent that a kill left open is gone on with; a child that was
    finished is not logged a second time.

    Args:
        settings: says where MLflow is, and goes into the run's parameters.
        name: what the MLflow UI calls it.
        key: what the run is of, such as a task's fingerprint.
        parent: the id of the run it belongs under.
        params: settings beyond params.yaml's, nested as they come.
        tags: tags beyond those every run gets.
    """
    run_id = _start(settings, name, key, parent, params or {}, tags or {})
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        if run_id:
            _end(run_id, status)


@_never_stops
def _start(
    settings: Settings,
    name: str,
    key: str,
    parent: str | None,
    params: dict[str, Any],
    tags: dict[str, str],
) -> str | None:
    experiment = _experiment(settings)
    client = MlflowClient()
    wanted = f"tags.key = '{key}'" + (
        f" AND tags.`mlflow.parentRunId` = '{parent}'" if parent else ""
    )
    for known in client.search_runs([experiment], wanted):
        if known.info.status == RunStatus.to_string(RunStatus.RUNNING):
            return known.info.run_id
        if parent and known.info.status == RunStatus.to_string(RunStatus.FINISHED):
            return None
    tags = {"key": key, "mlflow.source.name": name} | git_state() | tags
    if parent:
        tags["mlflow.parentRunId"] = parent
    tags |= {name.lower(): os.environ[name] for name in DVC_VARIABLES if os.environ.get(name)}
    run_id = client.create_run(experiment, run_name=name, tags=tags).info.run_id
    every = flatten(settings.model_dump(mode="json", exclude={"tracking"}) | params)
    entries = [Param(key, str(value)) for key, value in every.items()]
    for start in range(0, len(entries), 100):  # a batch takes no more
        client.log_batch(run_id, params=entries[start : start + 100])
    return run_id


def _experiment(settings: Settings) -> str:
    """Point MLflow at the store, and make the competition's experiment there if it is new."""
    # In `dvc exp run --temp` the working directory is a copy and DVC_ROOT names the original.
    root = Path(os.environ.get("DVC_ROOT", ".")).resolve() / "experiments"
    local = settings.tracking.uri is None
    root.mkdir(exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}" if local else settings.tracking.uri)
    client = MlflowClient()
    known = client.get_experiment_by_name(settings.competition.slug)
    if known:
        return known.experiment_id
    place = (root / "artifacts").as_uri() if local else None
    return client.create_experiment(settings.competition.slug, artifact_location=place)


@_never_stops
def _end(run_id: str, status: str) -> None:
    MlflowClient().set_terminated(run_id, status)


@_never_stops
def log_metrics(run_id: str | None, metrics: dict[str, float]) -> None:
    """Log numbers that a run has one of."""
    if run_id:
        now = int(time.time() * 1000)
        values = [Metric(key, value, now, 0) for key, value in metrics.items()]
        MlflowClient().log_batch(run_id, metrics=values)


@_never_stops
def log_history(run_id: str | None, history: list[dict[str, float]]) -> None:
    """Log the rows of a training's history, a step an epoch, in one call."""
    if run_id:
        now = int(time.time() * 1000)
        metrics = [
            Metric(key, value, now, int(row["epoch"]))
            for row in history
            for key, value in row.items()
            if key != "epoch"
        ]
        MlflowClient().log_batch(run_id, metrics=metrics)


@_never_stops
def log_file(run_id: str | None, path: Path) -> None:
    """Log a file, or a folder of files, as artifacts."""
    if run_id:
        log = MlflowClient().log_artifacts if path.is_dir() else MlflowClient().log_artifact
        log(run_id, str(path))


@_never_stops
def log_model(run_id: str | None, model: Any, images: np.ndarray, outputs: np.ndarray) -> None:
    """Log a Keras model with the signature of `images` -> `outputs`."""
    if run_id:
        with mlflow.start_run(run_id=run_id, nested=True):
            mlflow.tensorflow.log_model(
                model,
                name="model",
                signature=infer_signature(images, outputs),
                pip_requirements=["tensorflow", "keras"],  # given: finding them out takes 13 s
            )
