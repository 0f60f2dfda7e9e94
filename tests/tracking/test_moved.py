import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.settings import load_settings
from pipeline.tracking.submissions import open_store
from support.project import REPOSITORY, small_params, write_project


def test_a_deleted_experiment_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path, small_params(tracking={"uri": None}))
    monkeypatch.chdir(tmp_path)
    store = open_store(load_settings())
    store.client.delete_experiment(store.experiment)
    again = open_store(load_settings())
    assert again.experiment == store.experiment
    assert again.client.create_run(again.experiment).info.status == "RUNNING"
    assert "was deleted there and has been restored" in capfd.readouterr().err


LATER = """
from pathlib import Path
from pipeline.base.settings import load_settings
from pipeline.tracking.submissions import open_store
store = open_store(load_settings())
store.client.download_artifacts("{run}", "note.txt", r"{to}")
store.client.log_artifact("{run}", "params.yaml", "again")
new = store.client.create_run(store.experiment).info
assert Path("experiments").resolve().as_uri() in new.artifact_uri, new.artifact_uri
"""


@pytest.mark.slow
def test_a_renamed_project_finds_its_files_and_leaves_the_old_place_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = tmp_path / "before", tmp_path / "after #2"
    before.mkdir()
    write_project(before, small_params(tracking={"uri": None}))
    monkeypatch.chdir(before)
    (before / "note.txt").write_text("hello")
    store = open_store(load_settings())
    run = store.client.create_run(store.experiment).info.run_id
    store.client.log_artifact(run, "note.txt")
    monkeypatch.chdir(tmp_path)
    before.rename(after)
    # In a process of its own: MLflow's client remembers where a run's files were.
    code = LATER.format(run=run, to=str(tmp_path))
    places = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], cwd=after, env=places, check=True)
    assert (tmp_path / "note.txt").read_text() == "hello"
    assert not before.exists()


def test_a_path_with_whatever_an_address_reads_otherwise_has_its_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sp ce ünï 100%20" / "x?y#z"
    folder.mkdir(parents=True)
    write_project(folder, small_params(tracking={"uri": None}))
    monkeypatch.chdir(folder)
    store = open_store(load_settings())
    run = store.client.create_run(store.experiment).info
    store.client.log_artifact(run.run_id, "params.yaml")
    assert (folder / "experiments/mlflow.db").exists()
    assert list(folder.glob("experiments/artifacts/*/artifacts/params.yaml"))


def test_a_look_at_the_store_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, small_params(tracking={"uri": None}))
    monkeypatch.chdir(tmp_path)
    store = open_store(load_settings())
    store.client.delete_experiment(store.experiment)
    open_store(load_settings(), look=True)
    assert store.client.get_experiment(store.experiment).lifecycle_stage == "deleted"
