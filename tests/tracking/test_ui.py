import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from pipeline.base.settings import load_settings
from pipeline.tracking.submissions import open_store
from support.loopback import free_port
from support.project import REPOSITORY, run_here, small_params, write_project


@pytest.fixture
def tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that logs to its own database."""
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path, small_params(tracking={"uri": None}))
    return tmp_path


def test_without_runs_or_a_port_it_is_one_line(
    tracked: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_here("ui") == 1
    assert "no runs yet; `make quick` makes some" in capfd.readouterr().err
    (tracked / "experiments/mlflow.db").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_here("ui", "--port", str(port)) == 1
    said = capfd.readouterr().err
    assert said == f"error: port {port} is in use; choose another: `make ui PORT={port + 1}`\n"


@pytest.mark.slow
def test_it_prints_the_page_of_the_scores_once_the_server_answers(
    tracked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    store = open_store(load_settings())
    assert [each.name for each in store.client.search_experiments()] == ["digit-recognizer"]
    port = free_port()
    command = [sys.executable, "-m", "pipeline", "ui", "--port", str(port), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        page = line.rpartition(" ")[2].strip()
        assert page == (
            f"http://127.0.0.1:{port}/#/experiments/{store.experiment}/runs?"
            "workflowType=machine_learning&viewStateShareKey=scores"
        )
        assert requests.get(page, timeout=10).ok
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0
    time.sleep(0.2)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0  # it ended its server


def test_the_experiment_has_a_description_and_the_columns_of_its_scores(tracked: Path) -> None:
    store = open_store(load_settings())
    tags = store.client.get_experiment(store.experiment).tags
    assert "cross-validation" in tags["mlflow.note.content"]
    view = tags["mlflow.sharedViewState.scores"]
    for column in ("cv_accuracy", "cv_errors", "leaderboard_accuracy", "seconds"):
        assert f"metrics.`{column}`" in view
