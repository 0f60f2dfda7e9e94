import os
from pathlib import Path

import pytest

from support.project import run_here, small_params, write_project


def test_the_ui_is_served_on_this_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # put back afterwards
    write_project(tmp_path, small_params(tracking={"uri": None}))
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _program, command: started.append(command))
    assert run_here("ui") == 1  # no runs yet
    (tmp_path / "experiments/mlflow.db").touch()
    assert run_here("ui", "--port", "5001") == 0
    assert "MLflow on http://127.0.0.1:5001, for this machine only" in capsys.readouterr().out
    assert [" ".join(command) for command in started] == [
        "mlflow ui --backend-store-uri sqlite:///experiments/mlflow.db --host 127.0.0.1 "
        "--port 5001 --workers 1"
    ]
