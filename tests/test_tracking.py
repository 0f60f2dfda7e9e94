import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from conftest import write_yaml
from mlflow.tracking import MlflowClient

from pipeline import tracking
from pipeline.config import Settings, load_settings
from pipeline.hardware import keras
from pipeline.revision import git_state


@pytest.fixture
def settings(project: Path) -> Iterator[Settings]:
    tracking._stopped = False
    yield load_settings()
    tracking._stopped = False


def runs() -> list[dict[str, str]]:
    client = MlflowClient()
    experiment = client.get_experiment_by_name("digit-recognizer")
    found = client.search_runs([experiment.experiment_id])
    return [run.data.tags | {"id": run.info.run_id, "status": run.info.status} for run in found]


def test_a_run_holds_settings_metrics_files_and_where_it_came_from(settings: Settings) -> None:
    Path("note.txt").write_text("hello")
    with tracking.run(settings, "train x", key="k", params={"recipe": {"layers": [1]}}) as run_id:
        assert run_id
        tracking.log_metrics(run_id, {"cv_accuracy": 0.5})
        tracking.log_history(run_id, [{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0}])
        tracking.log_file(run_id, Path("note.txt"))
    client = MlflowClient()
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "0"
    assert run.data.params["recipe.layers.0"] == "1"
    assert run.data.params["competition.slug"] == "digit-recognizer"
    assert run.data.metrics["cv_accuracy"] == 0.5
    steps = client.get_metric_history(run_id, "loss")
    assert [(each.step, each.value) for each in steps] == [(1, 3.0), (2, 2.0)]
    assert [each.path for each in client.list_artifacts(run_id)] == ["note.txt"]
    assert run.data.tags["git_dirty"] == "true"  # no repository here
    assert "tracking.uri" not in run.data.params


def test_the_model_is_logged_with_its_signature(settings: Settings) -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    images = np.zeros((2, 4, 4, 1), np.uint8)
    with tracking.run(settings, "fold", key="k") as run_id:
        tracking.log_model(run_id, model, images, model.predict(images, verbose=0))
    assert not tracking._stopped
    (logged,) = MlflowClient().get_run(run_id).outputs.model_outputs
    loaded = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    assert "(-1, 4, 4, 1)" in str(loaded.metadata.signature.inputs)
    assert loaded.predict(images).shape == (2, 16)


def test_after_a_kill_the_run_goes_on_and_its_finished_children_are_not_doubled(
    settings: Settings,
) -> None:
    parent = tracking._start(settings, "train x", "k", None, {}, {})  # killed: never ended
    with tracking.run(settings, "fold 1", key="f", parent=parent) as child:
        assert child
    cut = tracking._start(settings, "fold 2", "g", parent, {}, {})  # killed in the middle
    tracking.log_history(cut, [{"epoch": 1, "loss": 3.0}])
    with tracking.run(settings, "train x", key="k") as again:
        assert again == parent
        with tracking.run(settings, "fold 1", key="f", parent=parent) as child:
            assert child is None
        with tracking.run(settings, "fold 2", key="g", parent=parent) as child:
            assert child not in (None, cut)
    assert [run["status"] for run in runs()] == ["FINISHED"] * 3
    with tracking.run(settings, "train x", key="k") as another:
        assert another != parent


def test_after_a_kill_a_run_of_something_else_is_ended(settings: Settings) -> None:
    old = tracking._start(settings, "train x", "before", None, {}, {})
    tracking._start(settings, "fold 1", "f", old, {}, {})
    other = tracking._start(settings, "train y", "k", None, {}, {})
    with tracking.run(settings, "train x", key="after") as run_id:
        assert run_id not in (old, other)
    by_name = {(run["mlflow.runName"], run["key"]): run["status"] for run in runs()}
    assert by_name == {
        ("train x", "before"): "KILLED", ("fold 1", "f"): "KILLED",
        ("train x", "after"): "FINISHED", ("train y", "k"): "RUNNING",
    }  # fmt: skip


def test_a_fault_in_the_middle_still_ends_the_run(settings: Settings) -> None:
    with tracking.run(settings, "x", key="k") as run_id:
        tracking.log_file(run_id, Path("missing"))
        assert tracking._stopped
    assert [run["status"] for run in runs()] == ["FINISHED"]


def test_a_failure_and_an_interruption_are_marked(settings: Settings) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), tracking.run(settings, "x", key="k"):
            raise error
    assert sorted(run["status"] for run in runs()) == ["FAILED", "KILLED"]


def test_an_unreachable_server_warns_once_and_stops_nothing(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    unreachable = settings.model_copy(
        update={
            "tracking": settings.tracking.model_copy(update={"uri": f"http://127.0.0.1:{port}"})
        }
    )
    started = time.monotonic()
    with tracking.run(unreachable, "x", key="k") as run_id:
        tracking.log_metrics(run_id, {"a": 1.0})
        tracking.log_file(run_id, Path("none"))
    assert run_id is None
    assert time.monotonic() - started < 60
    assert capsys.readouterr().err.count("MLflow tracking stopped, the work goes on") == 1


def test_the_revision_is_the_checkouts_and_only_code_makes_it_dirty(project: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        command = ["git", *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    revision = git("rev-parse", "HEAD")
    assert git_state() == {"git_revision": revision, "git_dirty": "false"}
    Path("submissions").mkdir()
    Path("submissions/metrics.json").write_text("{}")
    assert git_state()["git_dirty"] == "false"
    write_yaml(project / "params.yaml", {"seed": 2})
    assert git_state()["git_dirty"] == "true"
