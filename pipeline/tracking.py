"""What the stages log. Nothing here waits for MLflow: entries go into a journal, sent by another.

Runs form a tree a pipeline execution: the execution, a run a stage, a run a fold or trial. A run's
name here comes from what it is of, so that a killed stage, started again, finds its own.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.config import OFF, Settings
from pipeline.console import UserError, run_command, say, warn
from pipeline.files import DATABASE, sha256_json
from pipeline.journal import DOWN, Journal, journals, keep
from pipeline.revision import checkout_name, code_sha256, where_from

VERSIONS = ("tensorflow", "keras", "numpy", "optuna", "mlflow", "dvc", "scikit-learn")
# How long the end of a stage waits for what is still to be sent, seconds.
PATIENCE_HERE, PATIENCE_SERVER = 60.0, 10.0

_open: list[str] = []  # the runs of this process that are open, the outermost first
_follower: list[subprocess.Popen[bytes]] = []  # the process that sends what this one logs


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
    """Open a run for the block; yield our own name for it, or None where tracking is off.

    A run that was finished before, of the same key, is not logged a second time; of one that a
    kill cut short, a stage's is gone on with and a child of it is logged anew.

    Args:
        settings: says where MLflow is, and goes into the parameters.
        name: what the MLflow UI calls it.
        key: what it is of, such as a task's fingerprint.
        parent: the run it belongs under; None: a stage, under DVC's execution if there is one.
        params: settings beyond params.yaml's, nested as they come.
        tags: tags beyond those every run gets.
    """
    if settings.tracking.uri == OFF:
        yield None
        return
    outermost = not _open
    if outermost:
        start(settings)
    above = parent or (_execution(settings) if os.environ.get("DVC_STAGE") else None)
    own = _name(above, name, key)
    every = settings.model_dump(mode="json", exclude={"tracking"}) if parent is None else {}
    _append(
        "start",
        own,
        name=name,
        parent=above,
        child=parent is not None,
        params=flatten(every | (params or {})),
        tags={"key": key} | (where_from() if parent is None else {}) | (tags or {}),
    )
    _open.append(own)
    status, started = "FAILED", time.perf_counter()
    try:
        yield own
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        _open.remove(own)
        if parent is None:
            log_metrics(own, {"stage_seconds": time.perf_counter() - started} | _peak_memory())
        _append("end", own, status=status)
        if parent is None and above:
            _append("end", above, status=status)
        if outermost:
            _wait(settings)


def _name(parent: str | None, name: str, key: str) -> str:
    return sha256_json([checkout_name(), parent, name, key])[:24]


def _execution(settings: Settings) -> str:
    """The run of the pipeline's execution: one for the same code, settings and experiment."""
    name = os.environ.get("DVC_EXP_NAME") or "dvc repro"
    every = settings.model_dump(mode="json", exclude={"tracking"})
    key = sha256_json([every, code_sha256()])
    own = _name(None, name, key)
    params = flatten(every) | {f"version.{each}": version(each) for each in VERSIONS}
    tags = {"key": key, "pipeline": "true"} | where_from()
    _append("start", own, name=name, parent=None, child=False, params=params, tags=tags)
    return own


def execution(settings: Settings) -> str | None:
    """The execution's run, for the numbers it is compared by; None outside of DVC."""
    tracked = settings.tracking.uri != OFF and os.environ.get("DVC_STAGE")
    return _execution(settings) if tracked else None


def _peak_memory() -> dict[str, float]:
    """The most memory this process has had, in MiB (Linux counts in KiB)."""
    return {"peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _append(what: str, own: str | None, **more: Any) -> None:
    """Write an entry of a run; a full disk warns, and stops nothing."""
    if own:
        try:
            Journal.of_this_process().append({"what": what, "run": own} | more)
        except OSError as error:
            warn(f"tracking: an entry could not be written: {error.strerror}")


def log_metrics(own: str | None, metrics: dict[str, float]) -> None:
    """Log numbers that a run has one of."""
    _append("metrics", own, metrics=[[key, value, 0] for key, value in metrics.items()])


def log_history(own: str | None, history: list[dict[str, float]]) -> None:
    """Log the rows of a training's history, a step an epoch."""
    rows = [
        [key, value, int(row["epoch"])]
        for row in history
        for key, value in row.items()
        if key != "epoch"
    ]
    _append("metrics", own, metrics=rows)


def log_data(own: str | None, name: str, digest: str, rows: int, use: str) -> None:
    """Log which data a run used, as an MLflow dataset: `use` is `training` or `test`."""
    _append("data", own, name=name, digest=digest[:36], rows=rows, use=use)


def log_file(own: str | None, path: Path) -> None:
    """Log a file as an artifact."""
    if own:
        try:
            _append("file", own, name=path.name, files={"file": keep(path)})
        except OSError as error:
            warn(f"tracking: {path} could not be kept: {error.strerror}")


def log_model(own: str | None, plan: dict[str, Any], members: dict[str, Path], **more: Any) -> None:
    """Log networks, together or one alone, as one model that takes raw pixels.

    Args:
        own: the run.
        plan: what `pipeline/blend_model.py` needs to know.
        members: Keras's files, by the names that the plan gives them.
        more: `register`, to enter it in the registry: see `pipeline/registry.py`.
    """
    if own:
        try:
            files = {name: keep(path) for name, path in members.items()}
            _append("model", own, plan=plan, files=files, **more)
        except OSError as error:
            warn(f"tracking: a model could not be kept: {error.strerror}")


def link(own: str | None, name: str, key: str) -> None:
    """Show a stage that DVC skipped in this execution: linked to the run that made its outputs."""
    _append("link", own, name=name, key=key)


def start(settings: Settings) -> None:
    """Start the process that sends this journal to MLflow, and what earlier ones left over.

    The first run does so itself; a stage whose work is short calls this before it: MLflow takes
    seconds to import.
    """
    if settings.tracking.uri == OFF:
        return
    _follower[:] = [process for process in _follower if process.poll() is None]
    journal = Journal.of_this_process()
    where = {"uri": settings.tracking.uri, "experiment": settings.competition.slug}
    try:
        journal.append(
            {"what": "open", "run": None} | where | {"database": str(DATABASE.resolve())}
        )
        if not _follower:
            command = [sys.executable, "-m", "pipeline.follow", str(journal.path.resolve())]
            _follower.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
    except OSError as error:
        warn(f"tracking: nothing is logged: {error.strerror}")


def _wait(settings: Settings) -> None:
    """Say that no more will come, and wait for the last of it to be sent."""
    journal = Journal.of_this_process()
    _append("close", "journal")
    patience = PATIENCE_SERVER if settings.tracking.uri else PATIENCE_HERE
    until = time.monotonic() + patience
    while journal.path.exists() and not journal.path.with_suffix(".left").exists():
        if all(process.poll() is not None for process in _follower):
            if any(process.returncode for process in _follower):
                warn("tracking: its process died; `python -m pipeline.tracking --flush` goes on")
            break
        if time.monotonic() > until:
            if not DOWN.exists():
                warn("MLflow is slow to answer: what it did not take yet is sent beside the work")
            break
        time.sleep(0.02)
    else:
        for process in _follower:
            process.wait()


def main(
    flush: Annotated[bool, typer.Option("--flush", help="Send what is left over, now.")] = False,
) -> None:
    """Say what has not reached MLflow yet; with --flush, send it."""
    if flush:
        from pipeline.follow import deliver_leftovers  # imports mlflow

        deliver_leftovers()
    left = [journal for journal in journals() if not journal.writer_lives()]
    count = sum(len(journal.entries()) - journal.sent() for journal in left)
    if count and flush:
        raise UserError(f"{count} entries could not be sent; is the MLflow server up? Run it again")
    say(f"{count} entries to be sent" + "; --flush sends them" * bool(count))


if __name__ == "__main__":
    run_command(main)
