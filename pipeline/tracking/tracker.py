"""What the stages log. Nothing here waits for MLflow: entries go into a journal, sent by `sender`.

Runs form a tree for each execution of the pipeline: the execution, a run a stage, a run a fold or
trial. A run's name of ours is a digest of what the run is about, so that a killed stage, started
again, finds its own.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.base.console import warn
from pipeline.base.digests import sha256_json
from pipeline.base.dotted import flatten
from pipeline.base.paths import DATABASE
from pipeline.base.settings import OFF, Settings
from pipeline.provenance.changes import WITHOUT_EFFECT
from pipeline.provenance.revision import checkout_name, code_sha256, where_from
from pipeline.recipes.files import load_recipe
from pipeline.recipes.words import recipe_lines
from pipeline.tracking import entries
from pipeline.tracking.journal import DOWN, Journal, keep

VERSIONS = ("tensorflow", "keras", "numpy", "optuna", "mlflow", "dvc", "scikit-learn")
# Tags that are for us: MLflow's pages leave out those that begin so.
KEY = "mlflow.pipeline.key"
NOTE = "mlflow.note.content"  # a run's description, in markdown
EXECUTION = "PIPELINE_EXECUTION"  # what `make repro` tells its stages: name, key and note, as JSON
# How long the end of a stage waits for what is still to be sent, seconds.
PATIENCE_HERE, PATIENCE_SERVER = 60.0, 10.0


@dataclass(frozen=True)
class Run:
    """A run to log to; without a name, where tracking is off, it logs nothing."""

    name: str | None

    def _append(self, kind: type[entries.Entry], **fields: Any) -> None:
        if self.name:
            _append(kind(run=self.name, **fields))

    @contextmanager
    def child(
        self,
        name: str,
        key: str,
        params: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> Iterator["Run"]:
        """Open a run under this one for the block, such as a trial's; see `Tracker.run`."""
        own = self.begin(name, key, params, tags)
        with own._until_end():
            yield own

    def begin(
        self,
        name: str,
        key: str,
        params: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> "Run":
        """Begin a run under this one, such as a fold's that is being trained; `end` ends it."""
        own = Run(self.name and _own_name(self.name, name, key))
        given = {"params": flatten(params or {}), "tags": {KEY: key} | (tags or {})}
        own._append(entries.Start, name=name, parent=self.name, child=True, **given)
        return own

    def end(self, status: str = "FINISHED") -> None:
        """End the run."""
        self._append(entries.End, status=status)

    @contextmanager
    def _until_end(self) -> Iterator[None]:
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            self.end(status)

    def log_metrics(self, metrics: dict[str, float]) -> None:
        """Log numbers that a run has one of."""
        rows = [(key, float(value), 0) for key, value in metrics.items()]
        self._append(entries.Metrics, metrics=rows)

    def log_history(self, history: list[dict[str, float]]) -> None:
        """Log the rows of a training's history, a step an epoch."""
        rows = [
            (key, float(value), int(row["epoch"]))
            for row in history
            for key, value in row.items()
            if key != "epoch"
        ]
        self._append(entries.Metrics, metrics=rows)

    def log_data(self, name: str, digest: str, rows: int, use: str) -> None:
        """Log which data a run used, as an MLflow dataset: `use` is `training` or `test`."""
        self._append(entries.DataUsed, name=name, digest=digest[:36], rows=rows, use=use)

    def log_file(self, path: Path) -> None:
        """Log a file as an artifact."""
        if self.name and (copy := _kept(path)):
            self._append(entries.File, name=path.name, files={"file": copy})

    def log_model(
        self,
        name: str,
        plan: dict[str, Any],
        members: dict[str, Path],
        rows_sha256: str | None = None,
    ) -> None:
        """Log networks, together or one alone, as one model that takes raw pixels.

        Args:
            name: what MLflow calls it.
            plan: see `model_plan.plan`.
            members: Keras's files, by the names that the plan gives them.
            rows_sha256: of the rows that judge it; then it enters the registry.
        """
        if self.name:
            files = {name: copy for name, path in members.items() if (copy := _kept(path))}
            if len(files) == len(members):
                more = {"plan": plan, "files": files, "rows_sha256": rows_sha256}
                self._append(entries.LoggedModel, name=name, **more)

    def link(self, name: str, key: str) -> None:
        """Show a stage that DVC skipped in this execution, linked to the run that made it."""
        self._append(entries.Link, name=name, key=key)


class Tracker:
    """A process's tracking: its runs, and the process that sends what they log."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sender: subprocess.Popen[bytes] | None = None

    @contextmanager
    def run(
        self,
        name: str,
        key: str,
        params: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> Iterator[Run]:
        """Open a stage's run for the block, under DVC's execution if there is one.

        A run that was finished before, of the same key, is not logged a second time. After a kill
        a stage's run continues, and its children are logged again.

        Args:
            name: what the MLflow UI calls it.
            key: what it is about, such as a task's fingerprint.
            params: settings beyond those of params.yaml, nested as they are.
            tags: tags beyond those that every run gets.
        """
        if self.settings.tracking.uri == OFF:
            yield Run(None)
            return
        self.start()
        execution = self.execution()
        own = Run(_own_name(execution.name, name, key))
        given = flatten(self.settings.deciding() | (params or {}))
        about = {KEY: key} | where_from() | (tags or {})
        own._append(
            entries.Start, name=name, parent=execution.name, child=False, params=given, tags=about
        )
        started = time.perf_counter()
        try:
            with execution._until_end(), own._until_end():
                try:
                    yield own
                finally:
                    took = {"stage_seconds": time.perf_counter() - started}
                    own.log_metrics(took | _peak_memory())
        finally:
            self._wait()

    def execution(self) -> Run:
        """The run of this execution of the pipeline; without a name outside of DVC.

        It is one for the same code, settings and experiment, as they were when it began, and holds
        the numbers it is compared by.
        """
        if self.settings.tracking.uri == OFF or not os.environ.get("DVC_STAGE"):
            return Run(None)
        begun = json.loads(os.environ.get(EXECUTION) or "{}")
        name = begun.get("name") or os.environ.get("DVC_EXP_NAME") or "dvc repro"
        every, recipes = self.settings.deciding(), self.settings.recipes
        key = begun.get("key") or sha256_json([every, code_sha256(recipes)])
        own = Run(_own_name(None, name, key))
        params = {k: v for k, v in flatten(every).items() if not k.startswith(WITHOUT_EFFECT)}
        for recipe in recipes:
            lines = recipe_lines(load_recipe(recipe).model_dump())
            params |= {f"{recipe}.{key}": line for key, line in lines.items()}
        params |= {f"version.{each}": version(each) for each in VERSIONS}
        tags = {KEY: key, "pipeline": "true", "rows": self.settings.scope or "whole run"}
        tags |= where_from() | ({NOTE: begun["note"]} if "note" in begun else {})
        own._append(entries.Start, name=name, parent=None, child=False, params=params, tags=tags)
        return own

    def start(self) -> None:
        """Start the process that sends this journal, and what earlier ones left over, to MLflow.

        The first run does so itself; a stage whose work is short calls this before it: MLflow takes
        seconds to import.
        """
        if self.settings.tracking.uri == OFF:
            return
        experiment, database = self.settings.competition.slug, str(DATABASE.resolve())
        uri = self.settings.tracking.uri
        journal = Journal.of_this_process()
        try:
            journal.append(entries.Open(uri=uri, experiment=experiment, database=database))
            if self.sender is None or self.sender.poll() is not None:
                command = [sys.executable, "-m", "pipeline.tracking.sender"]
                command += [str(journal.path.resolve())]
                self.sender = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        except OSError as error:
            warn(f"tracking: nothing is logged: {error.strerror}")

    def _wait(self) -> None:
        """Say that no more will come, and wait for the last of it to be sent."""
        journal, sender = Journal.of_this_process(), self.sender
        _append(entries.Close())
        until = time.monotonic()
        until += PATIENCE_SERVER if self.settings.tracking.uri else PATIENCE_HERE
        while journal.path.exists() and not journal.path.with_suffix(".left").exists():
            if sender is None or sender.poll() is not None:
                if sender and sender.returncode:
                    warn("tracking: its process died; `python -m pipeline tracking --flush` helps")
                return
            if time.monotonic() > until:
                if not DOWN.exists():
                    warn("MLflow is slow to answer: the rest is sent while the work continues")
                return
            time.sleep(0.02)
        if sender:
            sender.wait()


def _own_name(parent: str | None, name: str, key: str) -> str:
    return sha256_json([checkout_name(), parent, name, key])[:24]


def _append(entry: entries.Entry) -> None:
    """Write an entry; a full disk warns, and stops nothing."""
    try:
        Journal.of_this_process().append(entry)
    except OSError as error:
        warn(f"tracking: an entry could not be written: {error.strerror}")


def _kept(path: Path) -> str | None:
    try:
        return keep(path)
    except OSError as error:
        warn(f"tracking: {path} could not be kept: {error.strerror}")
        return None


def _peak_memory() -> dict[str, float]:
    """The most memory this process has had, in MiB (Linux counts in KiB)."""
    return {"peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
