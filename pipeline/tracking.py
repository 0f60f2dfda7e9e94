"""MLflow runs. The only module that imports mlflow; a fault here warns once and stops nothing."""

import functools
import hashlib
import logging
import os
import platform
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
from mlflow.entities import Metric, Param
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

from pipeline.config import Settings
from pipeline.console import warn
from pipeline.files import DATABASE, ROOT, replacing
from pipeline.revision import git_state

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


def stopped() -> bool:
    """Whether a fault has ended tracking for this process."""
    return _stopped


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

    A run that a kill left open is gone on with if it is of the same key, and else ended; a child
    that was finished is not logged a second time, and one that was not is logged anew.

    Args:
        settings: says where MLflow is, and goes into the run's parameters.
        name: what the MLflow UI calls it; with no parent, only one process here has it at a time.
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
    own = {"checkout": _checkout(), "mlflow.runName": name}
    own |= {"key": key, "mlflow.parentRunId": parent} if parent else {}
    wanted = " AND ".join(f"tags.`{tag}` = '{value}'" for tag, value in own.items())
    run_id = None
    for known in client.search_runs([experiment], wanted):
        if parent and known.info.status == "FINISHED":
            return None
        if parent:
            client.delete_run(known.info.run_id)
        elif known.info.status == "RUNNING" and known.data.tags["key"] == key:
            run_id = known.info.run_id
        elif known.info.status == "RUNNING":
            _end_tree(client, experiment, known.info.run_id)
    if run_id is None:
        own |= {"key": key, "mlflow.source.name": name} | git_state() | tags
        own |= {name.lower(): os.environ[name] for name in DVC_VARIABLES if os.environ.get(name)}
        run_id = client.create_run(experiment, run_name=name, tags=own).info.run_id
    every = flatten(settings.model_dump(mode="json", exclude={"tracking"}) | params)
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in every.items()])
    return run_id


def _checkout() -> str:
    """A name for this checkout on this machine, among others that log to the same server."""
    place = f"{platform.node()}:{ROOT.resolve()}"
    return hashlib.sha256(place.encode()).hexdigest()[:12]


def _end_tree(client: MlflowClient, experiment: str, run_id: str) -> None:
    """End a run that a kill left open, and its children."""
    for child in client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'"):
        if child.info.status == "RUNNING":
            client.set_terminated(child.info.run_id, "KILLED")
    client.set_terminated(run_id, "KILLED")


def _experiment(settings: Settings) -> str:
    """Point MLflow at the store, and make the competition's experiment there if it is new."""
    local = settings.tracking.uri is None
    database = DATABASE.resolve()
    if local and not database.exists():
        _create(database)
    mlflow.set_tracking_uri(f"sqlite:///{database}" if local else settings.tracking.uri)
    client = MlflowClient()
    known = client.get_experiment_by_name(settings.competition.slug)
    if known:
        return known.experiment_id
    place = (database.parent / "artifacts").as_uri() if local else None
    return client.create_experiment(settings.competition.slug, artifact_location=place)


def _create(database: Path) -> None:
    """Make the database beside its place, then move it there: a kill must not leave half of one."""
    with replacing(database) as temporary:
        MlflowClient(f"sqlite:///{temporary}").search_experiments()


def _end(run_id: str, status: str) -> None:
    """End a run, also after a fault: the server may be back, and a run left open misleads."""
    try:
        MlflowClient().set_terminated(run_id, status)
    except Exception as error:  # the same guard as _never_stops, but for `_stopped`
        if not _stopped:
            warn(f"MLflow run {run_id} could not be ended: {error}")


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
def log_tags(run_id: str | None, tags: dict[str, str]) -> None:
    """Set tags of a run."""
    for key, value in tags.items() if run_id else ():
        MlflowClient().set_tag(run_id, key, value)


@_never_stops
def find_run(settings: Settings, tag: str, value: str) -> str | None:
    """The id of the newest run with this tag; None if there is none."""
    experiment = _experiment(settings)
    found = MlflowClient().search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=1)
    return found[0].info.run_id if found else None


@_never_stops
def log_file(run_id: str | None, path: Path) -> None:
    """Log a file as an artifact."""
    if run_id:
        MlflowClient().log_artifact(run_id, str(path))


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
