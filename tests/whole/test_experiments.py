"""DVC's experiments, in place, in a folder of their own and from the queue: a tree each in MLflow."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path

import mlflow
import psutil
import pytest
from mlflow.tracking import MlflowClient

from support.checkout import commit, copy_checkout, environment, run
from support.project import small_params

pytestmark = pytest.mark.slow


def test_each_experiment_is_a_tree_of_its_own(tmp_path: Path) -> None:
    folder = copy_checkout(tmp_path / "checkout", small_params(tracking={"uri": None}))
    run(folder, "dvc", "repro")
    commit(folder)
    run(folder, "dvc", "exp", "run", "--temp", "--name", "aside", "-S", "train.epochs=12")
    run(folder, "dvc", "exp", "run", "--queue", "--name", "queued", "-S", "ensemble.method=mean")
    run(folder, "dvc", "exp", "run", "--run-all")
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'experiments/mlflow.db'}")
    client = MlflowClient()
    number = client.get_experiment_by_name("digit-recognizer").experiment_id
    runs = client.search_runs([number])
    assert {each.info.status for each in runs} == {"FINISHED"}
    tops = {each.info.run_name: each for each in runs if "pipeline" in each.data.tags}
    assert set(tops) == {"dvc repro", "aside", "queued"}
    for name, top in tops.items():
        under = {
            each.info.run_name: each
            for each in runs
            if each.data.tags.get("mlflow.parentRunId") == top.info.run_id
        }
        assert set(under) == {"tune tiny", "train tiny", "ensemble", "submission"}, name
        assert top.data.metrics["cv_accuracy"] > 0.1
    (linked,) = (
        each
        for each in runs
        if each.info.run_name == "train tiny"
        and each.data.tags.get("mlflow.parentRunId") == tops["queued"].info.run_id
    )
    assert len(linked.data.tags["reused_from"]) == 32  # it blended what the first had trained
    shown = run(folder, "dvc", "exp", "show", "--csv")
    assert all(name in shown for name in ("aside", "queued"))


def wait_until(folder: Path, count: int, present: bool) -> None:
    """Wait for so many processes that train in a folder, or for none."""
    until = time.monotonic() + 90
    while (len(trainings(folder)) >= count) != present:
        assert time.monotonic() < until, f"{trainings(folder)} train"
        time.sleep(0.2)


def trainings(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cmdline()[-3:] == ["pipeline", "train", "tiny"]:
                found += [process] if str(folder) in process.cwd() else []
    return found


def test_a_queue_that_is_killed_trains_no_more(tmp_path: Path) -> None:
    folder = copy_checkout(tmp_path / "checkout", small_params())
    commit(folder)
    for name, epochs in (("one", 5000), ("two", 5001)):
        change = f"train.epochs={epochs}"
        run(folder, "dvc", "exp", "run", "--queue", "--name", name, "-S", change)
    # Not by `run`: the workers would hold its pipe open.
    command, nowhere = ["dvc", "queue", "start", "-j", "2"], subprocess.DEVNULL
    subprocess.run(
        command, cwd=folder, env=environment(folder), stdout=nowhere, stderr=nowhere, check=True
    )
    wait_until(folder, 2, present=True)
    run(folder, "dvc", "queue", "stop", "--kill")
    wait_until(folder, 1, present=False)
    assert "Running" not in run(folder, "dvc", "queue", "status")
