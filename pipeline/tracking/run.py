"""A run that a stage logs to: what it logs is written to the journal, which nothing waits for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.console import warn
from pipeline.base.digests import sha256_json
from pipeline.base.dotted import flatten
from pipeline.provenance.revision import checkout_name
from pipeline.tracking import entries
from pipeline.tracking.journal import Journal, keep

# Tags that are for us: MLflow's pages leave out those that begin so.
KEY = "mlflow.pipeline.key"


@dataclass(frozen=True)
class Run:
    """A run to log to; without a name, where tracking is off, it logs nothing."""

    name: str | None

    def append(self, kind: type[entries.Entry], **fields: Any) -> None:
        """Write an entry about this run."""
        if self.name:
            append(kind(run=self.name, **fields))

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
        with own.until_end():
            yield own

    def begin(
        self,
        name: str,
        key: str,
        params: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> "Run":
        """Begin a run under this one, such as a fold's that is being trained; `end` ends it."""
        own = Run(self.name and own_name(self.name, name, key))
        given = {"params": flatten(params or {}), "tags": {KEY: key} | (tags or {})}
        own.append(entries.Start, name=name, parent=self.name, child=True, **given)
        return own

    def end(self, status: str = "FINISHED") -> None:
        """End the run."""
        self.append(entries.End, status=status)

    @contextmanager
    def until_end(self) -> Iterator[None]:
        """End the run with the block, as failed or killed if the block is."""
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
        self.append(entries.Metrics, metrics=rows)

    def log_history(self, history: list[dict[str, float]]) -> None:
        """Log the rows of a training's history, a step an epoch."""
        rows = [
            (key, float(value), int(row["epoch"]))
            for row in history
            for key, value in row.items()
            if key != "epoch"
        ]
        self.append(entries.Metrics, metrics=rows)

    def log_data(self, name: str, digest: str, rows: int, use: str) -> None:
        """Log which data a run used, as an MLflow dataset: `use` is `training` or `test`."""
        self.append(entries.DataUsed, name=name, digest=digest[:36], rows=rows, use=use)

    def log_file(self, path: Path) -> None:
        """Log a file as an artifact."""
        if self.name and (copy := _kept(path)):
            self.append(entries.File, name=path.name, files={"file": copy})

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
                self.append(entries.LoggedModel, name=name, **more)

    def link(self, name: str, key: str) -> None:
        """Show a stage that DVC skipped in this execution, linked to the run that made it."""
        self.append(entries.Link, name=name, key=key)


def own_name(parent: str | None, name: str, key: str) -> str:
    """Our name of a run: what it is about, in this checkout."""
    return sha256_json([checkout_name(), parent, name, key])[:24]


def append(entry: entries.Entry) -> None:
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
