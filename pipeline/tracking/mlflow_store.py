"""Sends what a journal holds to MLflow, which no stage imports."""

import json
import logging
import os
from pathlib import Path
from urllib.parse import quote

# Before mlflow is imported. By default an unreachable server blocks the first call for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"  # between a training's lines

import mlflow
from filelock import FileLock
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from pipeline.base.console import warn
from pipeline.base.files import replacing
from pipeline.tracking import entries
from pipeline.tracking.journal import KEPT
from pipeline.tracking.logged_model import log_model
from pipeline.tracking.moved import follow_move
from pipeline.tracking.registry import register
from pipeline.tracking.run import KEY
from pipeline.tracking.view import describe_experiment

REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS")
BATCH = 100  # what MLflow takes in one call
OWN = "mlflow.pipeline.own_name"  # a tag that MLflow's pages leave out


def sqlite_uri(path: Path) -> str:
    """The address of a database; its path may hold what an address reads otherwise: `%20`."""
    return f"sqlite:///{quote(str(path))}"


class Store:
    """An experiment in an MLflow store, and which of its runs our own names stand for."""

    def __init__(
        self, uri: str | None, database: Path, experiment: str, look: bool = False
    ) -> None:
        """Connect; make database and experiment if they are new. With `look` only connect.

        Raises:
            Exception: whatever a tracking server that is not there raises.
        """
        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.name = experiment
        self.runs: dict[str, str] = {}
        self.finished_before: set[str] = set()
        if uri is None:
            _create(database)
        mlflow.set_tracking_uri(uri or sqlite_uri(database))
        self.client = MlflowClient()
        known = self.client.get_experiment_by_name(experiment)
        if look:
            return
        place = None if uri else (database.parent / "artifacts").as_uri()
        if known and place and known.artifact_location != place:
            follow_move(database, known.artifact_location, place)
        if known and known.lifecycle_stage == "deleted":  # nothing can be logged to it
            self.client.restore_experiment(known.experiment_id)
            warn(f"MLflow: the experiment {experiment} was deleted there and has been restored")
        self.experiment = (
            known.experiment_id
            if known
            else self.client.create_experiment(experiment, artifact_location=place)
        )
        mlflow.set_experiment(experiment_id=self.experiment)  # where a model goes
        describe_experiment(self.client, self.experiment)

    def deliver(self, entry: entries.Entry) -> None:
        """Send one entry; what MLflow has already is not sent a second time.

        Raises:
            Exception: whatever the server or its client raises; the entry can be sent again.
        """
        if isinstance(entry, entries.Start):
            self.start(entry)
            return
        run_id = None if entry.run in self.finished_before else self._known(entry.run)
        if run_id is None:
            return
        match entry:
            case entries.Metrics():
                self.log_metrics(run_id, entry)
            case entries.DataUsed():
                self.log_data(run_id, entry)
            case entries.File():
                self.log_file(run_id, entry)
            case entries.LoggedModel():
                uri = log_model(run_id, entry)
                if entry.rows_sha256:
                    register(self.client, self.name, uri, run_id, entry)
            case entries.Link():
                self.link(run_id, entry)
            case entries.End():
                self.client.set_terminated(run_id, entry.status, entry.time)

    @staticmethod
    def is_permanent(error: Exception) -> bool:
        """Whether sending the entry again can only fail again."""
        return isinstance(error, MlflowException) and error.error_code in REFUSED

    def end_killed(self, own: str) -> None:
        """End a run whose process has died, if it is still open."""
        run = self._find(own)
        if run and run.info.status == "RUNNING":
            self.client.set_terminated(run.info.run_id, "KILLED")

    def _find(self, own: str) -> Run | None:
        found = self.client.search_runs([self.experiment], f"tags.`{OWN}` = '{own}'")
        return found[0] if found else None

    def _known(self, own: str) -> str | None:
        if own not in self.runs:
            run = self._find(own)
            if run is None:
                return None
            self.runs[own] = run.info.run_id
        return self.runs[own]

    def start(self, entry: entries.Start) -> None:
        """Make the run, or continue it; one that had finished stays as it is."""
        own = entry.run
        self.finished_before.discard(own)
        run = self._find(own)
        if run and run.info.status == "FINISHED" and "pipeline" not in entry.tags:
            self.finished_before.add(own)
        elif run and not entry.child:
            self.runs[own] = run.info.run_id
            self.client.update_run(run.info.run_id, status="RUNNING")
            tags = [RunTag(*each) for each in entry.tags.items()]
            self.client.log_batch(run.info.run_id, tags=tags)
        else:
            if run:  # a kill ended it: it is logged again
                self.client.delete_run(run.info.run_id)
            self._create_run(entry)

    def _create_run(self, entry: entries.Start) -> None:
        tags = entry.tags | {OWN: entry.run, "mlflow.source.name": entry.name}
        if entry.parent and (parent := self._known(entry.parent)):
            tags["mlflow.parentRunId"] = parent
        run_id = self.client.create_run(
            self.experiment, start_time=entry.time, run_name=entry.name, tags=tags
        ).info.run_id
        self.runs[entry.run] = run_id
        params = [Param(key, str(value)[:6000]) for key, value in entry.params.items()]
        for first in range(0, len(params), BATCH):
            self.client.log_batch(run_id, params=params[first : first + BATCH])

    def log_metrics(self, run_id: str, entry: entries.Metrics) -> None:
        """Send numbers."""
        metrics = [Metric(key, value, entry.time, step) for key, value, step in entry.metrics]
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + BATCH])

    def log_data(self, run_id: str, entry: entries.DataUsed) -> None:
        """Send which data a run used."""
        profile = json.dumps({"rows": entry.rows})
        data = Dataset(entry.name, entry.digest, "local", "{}", profile=profile)
        use = [InputTag("mlflow.data.context", entry.use)]
        self.client.log_inputs(run_id, [DatasetInput(data, use)])

    def log_file(self, run_id: str, entry: entries.File) -> None:
        """Send a file."""
        kept = KEPT / entry.files["file"]
        if kept.exists():
            plain = kept.parent / run_id / entry.name  # an artifact is named as its file is
            plain.parent.mkdir(exist_ok=True)
            if not plain.exists():
                plain.hardlink_to(kept)
            self.client.log_artifact(run_id, str(plain))
            plain.unlink()
            plain.parent.rmdir()

    def link(self, run_id: str, entry: entries.Link) -> None:
        """Show a stage's run, made in another execution, under this one too."""
        mine = f"tags.`{KEY}` = '{entry.key}' AND tags.`mlflow.runName` = '{entry.name}'"
        here = f"{mine} AND tags.`mlflow.parentRunId` = '{run_id}'"
        if self.client.search_runs([self.experiment], here):
            return
        finished = self.client.search_runs([self.experiment], f"{mine} AND status = 'FINISHED'")
        made = next((run for run in finished if "reused_from" not in run.data.tags), None)
        tags = {
            KEY: entry.key,
            "mlflow.parentRunId": run_id,
            "reused_from": made.info.run_id if made else "a run that is not in this store",
        }
        linked = self.client.create_run(
            self.experiment, start_time=entry.time, run_name=entry.name, tags=tags
        ).info.run_id
        for key, value in (made.data.metrics if made else {}).items():
            self.client.log_metric(linked, key, value)
        self.client.set_terminated(linked, "FINISHED", entry.time)


def _create(database: Path) -> None:
    """Make the database beside its place, then move it there: a kill must not leave half of it."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(f"{database.name}.lock")):
        if not database.exists():
            with replacing(database) as temporary:
                client = MlflowClient(sqlite_uri(temporary))
                client.search_experiments()
                client.delete_experiment("0")  # MLflow's own "Default", which stays empty
