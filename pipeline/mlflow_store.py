"""Sends what a journal holds to MLflow, which no stage imports."""

import gc
import logging
import os
from pathlib import Path
from typing import Any

# Importing MLflow and its database code makes objects that all stay: looking through them again and
# again would take a fifth of its seconds.
gc.disable()
# Before mlflow is imported. By default an unreachable server blocks the first call for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"  # between a training's lines

import mlflow
from filelock import FileLock
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    Run,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from pipeline.config import OFF, Settings
from pipeline.console import warn
from pipeline.files import DATABASE, replacing
from pipeline.journal import KEPT, Entry
from pipeline.logged_model import log_model
from pipeline.registry import register

gc.enable()
for _name in ("alembic", "mlflow"):
    logging.getLogger(_name).setLevel(logging.WARNING)

BATCH = 100  # what MLflow takes in one call


class Store:
    """An experiment of an MLflow store, and which of its runs our names stand for."""

    def __init__(self, uri: str | None, database: Path, experiment: str) -> None:
        """Connect; make database and experiment if they are new.

        Raises:
            Exception: whatever a tracking server that is not there comes up with.
        """
        self.name = experiment
        self.runs: dict[str, str] = {}
        self.finished_before: set[str] = set()
        gc.disable()  # as above: the database's code comes only now
        try:
            if uri is None:
                _create(database)
            mlflow.set_tracking_uri(uri or f"sqlite:///{database}")
            self.client = MlflowClient()
        finally:
            gc.enable()
        known = self.client.get_experiment_by_name(experiment)
        place = None if uri else (database.parent / "artifacts").as_uri()
        self.experiment = (
            known.experiment_id
            if known
            else self.client.create_experiment(experiment, artifact_location=place)
        )
        mlflow.set_experiment(experiment_id=self.experiment)  # where a model is put

    def deliver(self, entry: Entry) -> None:
        """Send one entry; what is there already is not sent a second time.

        Raises:
            Exception: whatever the server or its client comes up with; the entry can be sent again.
        """
        if entry["what"] == "start":
            self._start(entry)
        elif entry["run"] not in self.finished_before:
            run_id = self._known(entry["run"])
            if run_id:
                getattr(self, f"_{entry['what']}")(run_id, entry)

    def end_killed(self, own: str) -> None:
        """End a run whose process has died, if it is still open."""
        run = self._find(own)
        if run and run.info.status == "RUNNING":
            self.client.set_terminated(run.info.run_id, "KILLED")

    def _find(self, own: str) -> Run | None:
        found = self.client.search_runs([self.experiment], f"tags.`own_name` = '{own}'")
        return found[0] if found else None

    def _known(self, own: str) -> str | None:
        if own not in self.runs:
            run = self._find(own)
            if run is None:
                return None
            self.runs[own] = run.info.run_id
        return self.runs[own]

    def _start(self, entry: Entry) -> None:
        own, tags = entry["run"], entry["tags"]
        self.finished_before.discard(own)
        run = self._find(own)
        if run and run.info.status == "FINISHED" and "pipeline" not in tags:
            self.finished_before.add(own)
            return
        if run and not entry["child"]:
            self.runs[own] = run.info.run_id
            self.client.update_run(run.info.run_id, status="RUNNING")
            self.client.log_batch(run.info.run_id, tags=[RunTag(*each) for each in tags.items()])
            return
        if run:
            self.client.delete_run(run.info.run_id)
        tags = tags | {"own_name": own, "mlflow.source.name": entry["name"]}
        if entry["parent"] and (parent := self._known(entry["parent"])):
            tags["mlflow.parentRunId"] = parent
        created = self.client.create_run(
            self.experiment, start_time=entry["time"], run_name=entry["name"], tags=tags
        )
        self.runs[own] = created.info.run_id
        params = [Param(key, str(value)[:6000]) for key, value in entry["params"].items()]
        for first in range(0, len(params), BATCH):
            self.client.log_batch(created.info.run_id, params=params[first : first + BATCH])

    def _metrics(self, run_id: str, entry: Entry) -> None:
        metrics = [Metric(key, value, entry["time"], step) for key, value, step in entry["metrics"]]
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + BATCH])

    def _data(self, run_id: str, entry: Entry) -> None:
        profile = f'{{"rows": {entry["rows"]}}}'
        data = Dataset(entry["name"], entry["digest"], "local", "{}", profile=profile)
        use = [InputTag("mlflow.data.context", entry["use"])]
        self.client.log_inputs(run_id, [DatasetInput(data, use)])

    def _file(self, run_id: str, entry: Entry) -> None:
        kept = KEPT / entry["files"]["file"]
        if kept.exists():
            plain = kept.parent / run_id / entry["name"]  # an artifact is named as its file is
            plain.parent.mkdir(exist_ok=True)
            plain.hardlink_to(kept) if not plain.exists() else None
            self.client.log_artifact(run_id, str(plain))
            plain.unlink()
            plain.parent.rmdir()

    def _model(self, run_id: str, entry: Entry) -> None:
        uri = log_model(run_id, entry)
        if "register" in entry:
            register(self.client, self.name, uri, run_id, entry)

    def _link(self, run_id: str, entry: Entry) -> None:
        mine = f"tags.key = '{entry['key']}' AND tags.`mlflow.runName` = '{entry['name']}'"
        here = f"{mine} AND tags.`mlflow.parentRunId` = '{run_id}'"
        if self.client.search_runs([self.experiment], here):
            return
        finished = self.client.search_runs([self.experiment], f"{mine} AND status = 'FINISHED'")
        made = next((run for run in finished if "reused_from" not in run.data.tags), None)
        tags = {
            "key": entry["key"],
            "mlflow.parentRunId": run_id,
            "reused_from": made.info.run_id if made else "a run that is not in this store",
        }
        linked = self.client.create_run(
            self.experiment, start_time=entry["time"], run_name=entry["name"], tags=tags
        ).info.run_id
        for key, value in (made.data.metrics if made else {}).items():
            self.client.log_metric(linked, key, value)
        self.client.set_terminated(linked, "FINISHED", entry["time"])

    def _end(self, run_id: str, entry: Entry) -> None:
        self.client.set_terminated(run_id, entry["status"], entry["time"])


def _create(database: Path) -> None:
    """Make the database beside its place, then move it there: a kill must not leave half of one."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(f"{database.name}.lock")):
        if not database.exists():
            with replacing(database) as temporary:
                MlflowClient(f"sqlite:///{temporary}").search_experiments()


def permanent(error: Exception) -> bool:
    """Whether sending the entry again can only fail again."""
    refused = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS")
    return isinstance(error, MlflowException) and error.error_code in refused


def open_store(settings: Settings) -> Store:
    """The store that params.yaml names."""
    return Store(settings.tracking.uri, DATABASE.resolve(), settings.competition.slug)


def find_submission(settings: Settings, digest: str) -> str | None:
    """The id of the newest run that made a submission file, by its SHA-256, or None."""
    if settings.tracking.uri == OFF:
        return None
    try:
        store = open_store(settings)
        found = store.client.search_runs(
            [store.experiment], f"tags.submission_sha256 = '{digest}'", max_results=1
        )
    except Exception as error:  # whatever a tracking server or its client comes up with
        warn(f"MLflow does not answer: {(str(error).splitlines() or [''])[0]}")
        return None
    return found[0].info.run_id if found else None


def add_to_run(
    run_id: str | None,
    metrics: dict[str, float] | None = None,
    tags: dict[str, str] | None = None,
    file: Path | None = None,
) -> None:
    """Add to a run that has ended, such as the score that came later; a fault only warns."""
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
        warn(f"MLflow did not take it: {(str(error).splitlines() or [''])[0]}")
