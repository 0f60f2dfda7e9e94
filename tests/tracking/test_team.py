"""The team's set-up for real: `mlflow server` on PostgreSQL, on loopback. `make test-all`."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from pipeline.base.settings import load_settings
from pipeline.tracking.journal import journals
from pipeline.tracking.tracker import Tracker
from support.loopback import free_port, wait_for
from support.project import REPOSITORY, write_yaml

pytestmark = pytest.mark.slow
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def as_postgres(*command: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.getuid() == 0 else list(command)


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The URI of a database of its own."""
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="`make tracking-server` installs it")
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    data, port = folder / "data", free_port()
    program = str(PROGRAMS[-1])
    subprocess.run(
        as_postgres(f"{program}/initdb", "-D", str(data), "-A", "trust", "-U", "mlflow"),
        check=True, stdout=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip
    server = subprocess.Popen(
        as_postgres(
            f"{program}/postgres", "-D", str(data), "-p", str(port), "-h", "127.0.0.1",
            "-k", str(folder),
        ),
        stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
    )  # fmt: skip
    try:
        wait_for(port, server)
        yield f"postgresql://mlflow@127.0.0.1:{port}/postgres"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
        shutil.rmtree(folder)


def test_runs_go_to_a_server_on_postgresql(
    project: Path, params: dict[str, Any], postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("DVC_STAGE", "train@x")
    port = free_port()
    server = subprocess.Popen(
        ["make", "-C", str(REPOSITORY), "tracking-server", f"DATABASE={postgresql}",
         f"PORT={port}", f"ARTIFACTS={project / 'served'}"],
        start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(port, server)
        params["tracking"]["uri"] = f"http://127.0.0.1:{port}"
        write_yaml(project / "params.yaml", params)
        Path("note.txt").write_text("hello")
        with Tracker(load_settings()).run("train x", "k") as own:
            own.log_metrics({"cv_accuracy": 0.5})
            own.log_file(Path("note.txt"))
        assert not list(journals())
        mlflow.set_tracking_uri(params["tracking"]["uri"])
        client = MlflowClient()
        experiment = client.get_experiment_by_name("digit-recognizer").experiment_id
        found = {run.info.run_name: run for run in client.search_runs([experiment])}
        assert set(found) == {"dvc repro", "train x"}
        assert found["train x"].data.metrics["cv_accuracy"] == 0.5
        assert [each.path for each in client.list_artifacts(found["train x"].info.run_id)] == [
            "note.txt"
        ]
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=30)
