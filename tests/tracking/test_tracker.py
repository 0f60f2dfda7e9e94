import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipeline.base.settings import Settings, load_settings
from pipeline.tracking import entries
from pipeline.tracking.journal import JOURNALS, Journal, journals
from pipeline.tracking.sender import deliver_leftovers
from pipeline.tracking.tracker import Tracker
from support.loopback import free_port, wait_for
from support.project import REPOSITORY, write_yaml


@pytest.fixture
def settings(project: Path, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    params["tracking"]["uri"] = None
    write_yaml(project / "params.yaml", params)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("DVC_STAGE", "train@x")
    return load_settings()


def runs() -> dict[str, Run]:
    """All runs by name; the last of a name, and no name twice among those of one parent."""
    mlflow.set_tracking_uri(f"sqlite:///{Path('experiments/mlflow.db').resolve()}")
    client = MlflowClient()
    experiment = client.get_experiment_by_name("digit-recognizer")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    under = ((run.info.run_name, run.data.tags.get("mlflow.parentRunId")) for run in found)
    named = [each for each in under if each[1]]
    assert len(set(named)) == len(named)
    return {run.info.run_name: run for run in reversed(found)}


def statuses() -> dict[str, str]:
    return {name: run.info.status for name, run in runs().items()}


def parent(run: Run) -> str:
    client = MlflowClient()
    return str(client.get_run(run.data.tags["mlflow.parentRunId"]).info.run_name)


def test_a_run_holds_settings_metrics_files_and_where_it_came_from(settings: Settings) -> None:
    Path("note.txt").write_text("hello")
    tracker = Tracker(settings)
    with tracker.run("train x", "k", params={"recipe": {"layers": [1]}}) as own:
        own.log_metrics({"cv_accuracy": 0.5})
        own.log_history([{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0}])
        own.log_file(Path("note.txt"))
        Path("note.txt").write_text("changed later")
        own.log_data("train_images", "ab" * 32, 200, "training")
        with own.child("fold 1", "f") as child:
            child.log_metrics({"fold_accuracy": 0.25})
        tracker.execution().log_metrics({"leaderboard_accuracy": 0.75})
    assert list(journals()) == []  # all of it sent, nothing left behind
    assert not list(JOURNALS.glob("files/*"))
    found, client = runs(), MlflowClient()
    run = found["train x"]
    assert set(statuses().values()) == {"FINISHED"}
    assert (parent(run), parent(found["fold 1"])) == ("dvc repro", "train x")
    assert run.data.params["seed"] == "0"
    assert run.data.params["recipe.layers.0"] == "1"
    assert run.data.metrics["cv_accuracy"] == 0.5
    assert run.data.metrics["peak_memory_mib"] > 50
    steps = client.get_metric_history(run.info.run_id, "loss")
    assert [(each.step, each.value) for each in steps] == [(1, 3.0), (2, 2.0)]
    (artifact,) = client.list_artifacts(run.info.run_id)
    assert artifact.path == "note.txt"
    read = Path(client.download_artifacts(run.info.run_id, "note.txt", ".")).read_text()
    assert read == "hello"
    assert run.inputs.dataset_inputs[0].dataset.digest == ("ab" * 32)[:36]
    assert run.data.tags["git_dirty"] == "true"  # no repository here
    assert "tracking.uri" not in run.data.params
    top = found["dvc repro"]
    assert top.data.metrics == {"leaderboard_accuracy": 0.75}
    assert top.data.params["competition.slug"] == "digit-recognizer"
    assert top.data.params["version.mlflow"] == mlflow.__version__


def test_off_logs_nothing(settings: Settings) -> None:
    with Tracker(settings.changed(tracking={"uri": "off"})).run("train x", "k") as own:
        own.log_metrics({"a": 1.0})
    assert own.name is None
    assert not Path("experiments/mlflow.db").exists()
    assert not JOURNALS.exists()


STAGE = """
import os, signal, sys
from pipeline.tracking.tracker import Tracker
from pipeline.base.settings import load_settings
settings = load_settings()
with Tracker(settings).run("train x", sys.argv[1]) as own:
    with own.child("fold 1", "f") as child:
        child.log_history([{"epoch": 1, "loss": 3.0}])
    with own.child("fold 2", "g") as child:
        child.log_history([{"epoch": 1, "loss": 3.0}])
        if len(sys.argv) > 2:
            os.killpg(0, signal.SIGKILL) if sys.argv[2] == "all" else os.kill(os.getpid(), 9)
        child.log_history([{"epoch": 2, "loss": 2.0}])
    own.log_metrics({"cv_accuracy": 0.5})
"""


def stage(*arguments: str, **environment: str) -> int:
    command = [sys.executable, "-c", STAGE, *arguments]
    process = subprocess.Popen(command, env=os.environ | environment, start_new_session=True)
    return process.wait(timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["it", "all"])
def test_after_a_kill_the_tree_goes_on_without_a_twin(settings: Settings, killed: str) -> None:
    assert stage("k", killed) == -signal.SIGKILL
    if killed == "it":  # its follower outlives it by a moment, and ends its runs
        until = time.monotonic() + 60
        while list(journals()) and time.monotonic() < until:
            time.sleep(0.1)
        expected = {"dvc repro": "KILLED", "train x": "KILLED"}
        assert statuses() == expected | {"fold 1": "FINISHED", "fold 2": "KILLED"}
    assert stage("k") == 0
    found = runs()
    assert set(statuses().values()) == {"FINISHED"}
    assert set(found) == {"dvc repro", "train x", "fold 1", "fold 2"}
    client = MlflowClient()
    for name, losses in (("fold 1", [3.0]), ("fold 2", [3.0, 2.0])):
        history = client.get_metric_history(found[name].info.run_id, "loss")
        assert [each.value for each in history] == losses
    assert stage("k") == 0  # the same once more is no second tree
    assert {run.info.run_id for run in runs().values()} == {
        run.info.run_id for run in found.values()
    }


@pytest.mark.slow
def test_a_skipped_stage_is_linked_to_the_run_that_made_it(settings: Settings) -> None:
    with Tracker(settings).run("train x", "k") as own:
        own.log_metrics({"cv_accuracy": 0.5})
    made = runs()["train x"].info.run_id
    tracker = Tracker(settings.changed(seed=7))
    with tracker.run("submission", "s"):
        execution = tracker.execution()
        execution.link("train x", "k")
        execution.link("submission", "s")  # its own: no second one
    client = MlflowClient()
    (top,) = client.search_runs(
        [runs()["submission"].info.experiment_id], "params.seed = '7' AND tags.pipeline = 'true'"
    )
    under = client.search_runs(
        [top.info.experiment_id], f"tags.`mlflow.parentRunId` = '{top.info.run_id}'"
    )
    assert {run.info.run_name for run in under} == {"train x", "submission"}
    (linked,) = (run for run in under if run.info.run_name == "train x")
    assert linked.data.tags["reused_from"] == made
    assert linked.data.metrics["cv_accuracy"] == 0.5


@pytest.mark.slow
def test_an_experiment_of_dvcs_is_a_tree_of_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Tracker(settings).run("train x", "k"):
        pass
    monkeypatch.setenv("DVC_EXP_NAME", "gusty-gnat")
    with Tracker(settings).run("train x", "k"):
        pass
    experiment = runs()["gusty-gnat"].info.experiment_id
    tops = MlflowClient().search_runs([experiment], "tags.pipeline = 'true'")
    assert sorted(run.info.run_name for run in tops) == ["dvc repro", "gusty-gnat"]


@pytest.mark.slow
def test_a_fold_that_was_training_when_its_stage_broke_off_is_not_left_open(
    settings: Settings,
) -> None:
    with pytest.raises(ValueError), Tracker(settings).run("train x", "k") as own:
        own.begin("fold 1", "f").log_history([{"epoch": 1, "loss": 3.0}])
        raise ValueError
    assert statuses() == {"dvc repro": "FAILED", "train x": "FAILED", "fold 1": "KILLED"}


@pytest.mark.slow
def test_a_failure_and_an_interruption_are_marked(settings: Settings) -> None:
    for error, status in ((ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")):
        with pytest.raises(error), Tracker(settings).run("x", "k"):
            raise error
        assert statuses() == {"dvc repro": status, "x": status}


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    """An MLflow server on loopback that is not up yet; `start` is in its URI's port."""
    yield f"http://127.0.0.1:{free_port()}"


def start_server(uri: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        ["mlflow", "server", "--backend-store-uri", f"sqlite:///{Path('server.db').resolve()}",
         "--host", "127.0.0.1", "--port", uri.rpartition(":")[2], "--workers", "1",
         "--artifacts-destination", str(Path("served").resolve())],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_for(int(uri.rpartition(":")[2]), process)
    return process


@pytest.mark.slow
def test_what_a_server_that_is_down_did_not_take_is_sent_later(
    settings: Settings, params: dict[str, Any], server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    params["tracking"]["uri"] = server
    write_yaml(Path("params.yaml"), params)
    down = load_settings()
    Path("note.txt").write_text("hello")
    for number in range(2):  # two stages
        started = time.monotonic()
        with Tracker(down).run(f"train {number}", "k") as own:
            own.log_metrics({"a": 1.0})
            own.log_file(Path("note.txt"))
            worked = time.monotonic() - started
        assert worked < 5  # it waits for nothing
        assert list(journals())
    assert capfd.readouterr().err.count("MLflow cannot be reached, the work continues") == 1
    process = start_server(server)
    try:
        # As `python -m pipeline tracking --flush` does, the writers being dead.
        for journal in journals():
            journal.path.rename(journal.path.with_name("1-1.jsonl"))
        deliver_leftovers()
        mlflow.set_tracking_uri(server)
        experiment = MlflowClient().get_experiment_by_name("digit-recognizer").experiment_id
        found = {run.info.run_name: run for run in MlflowClient().search_runs([experiment])}
        assert set(found) == {"dvc repro", "train 0", "train 1"}
        assert found["train 1"].data.metrics["a"] == 1.0
        assert {run.info.status for run in found.values()} == {"FINISHED"}
        assert list(journals()) == []
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_half_an_entry_is_passed_over(settings: Settings) -> None:
    journal = Journal.of_this_process()
    journal.append(entries.End(run="a", status="FINISHED"))
    with journal.path.open("a") as file:
        file.write('{"kind": "Sta\n{"kind": "Unknown"}\n{"kind": "Start"')
    assert [entry.run for entry in journal.entries()] == ["a"]
    assert journal.writer_lives()
    assert not Journal(JOURNALS / "5-1.jsonl").writer_lives()
