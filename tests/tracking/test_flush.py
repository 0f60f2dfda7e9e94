"""What a killed process left over is sent by `python -m pipeline tracking --flush`."""

from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from pipeline.tracking import entries
from pipeline.tracking.journal import JOURNALS, Journal, journals, keep
from support.project import run_here


def test_it_counts_what_is_left_and_sends_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "note.txt").write_text("hello")
    where: dict[str, Any] = {
        "uri": None,
        "experiment": "x",
        "database": str(project / "experiments/mlflow.db"),
    }
    start: dict[str, Any] = {"parent": None, "child": False, "params": {"a": 1}, "tags": {}}
    journal = Journal(JOURNALS / "1-1.jsonl")  # no process was born then
    for entry in (
        entries.Open(**where),
        entries.Start(run="one", name="train x", **start),
        entries.Metrics(run="one", metrics=[("loss", 3.0, 1), ("loss", float("nan"), 2)]),
        entries.DataUsed(run="one", name="train", digest="ab", rows=9, use="training"),
        entries.File(run="one", name="note.txt", files={"file": keep(Path("note.txt"))}),
        entries.Start(run="two", name="fold 1", **start | {"parent": "one", "child": True}),
    ):
        journal.append(entry)
    assert run_here("tracking") == 0
    assert capsys.readouterr().out == "6 entries to send; --flush sends them\n"
    assert run_here("tracking", "--flush") == 0
    assert capsys.readouterr().out == "0 entries to send\n"
    assert list(journals()) == []
    mlflow.set_tracking_uri(f"sqlite:///{where['database']}")
    client = MlflowClient()
    experiment = client.get_experiment_by_name("x").experiment_id
    found = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert {name: run.info.status for name, run in found.items()} == {
        "train x": "KILLED", "fold 1": "KILLED"
    }  # fmt: skip
    assert found["fold 1"].data.tags["mlflow.parentRunId"] == found["train x"].info.run_id
    assert found["train x"].data.params == {"a": "1"}
    run_id = found["train x"].info.run_id
    assert client.get_metric_history(run_id, "loss")[0].value == 3.0
    assert [each.path for each in client.list_artifacts(run_id)] == ["note.txt"]


def test_a_journal_of_another_version_is_put_aside_and_said(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    JOURNALS.mkdir(parents=True)
    (JOURNALS / "1-1.jsonl").write_text('{"what": "start", "run": "one"}\n')
    assert run_here("tracking", "--flush") == 0
    printed = capsys.readouterr()
    assert printed.out == "0 entries to send\n"
    assert "1-1.unread is not what this version of the code writes" in printed.err
    assert (JOURNALS / "1-1.unread").exists()
    assert list(journals()) == []
