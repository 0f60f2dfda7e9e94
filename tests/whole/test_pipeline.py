"""The real `dvc repro`, from the embedded digits to a scored file, in a copy of this checkout."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient

from pipeline.base.hardware import keras
from pipeline.data.embedded import TRAIN_LABEL_COUNTS
from support.checkout import commit, copy_checkout, environment, run
from support.project import REPOSITORY

IDENTICAL = (
    "experiments/train/tiny/oof.npy",
    "experiments/train/tiny/test.npy",
    "submissions/submission.csv",
)


WHOLE = "repro-1: tiny (slice of 300 rows)"  # what MLflow calls the execution


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A checkout after `make repro`, the same before it, and what was printed."""
    params: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["recipes"] = ["tiny"]
    params["preprocess"]["folds"] = 2
    done = copy_checkout(tmp_path_factory.mktemp("checkout"), params, workers=2)
    fresh = tmp_path_factory.mktemp("fresh") / "checkout"
    shutil.copytree(done, fresh)
    output = run(done, sys.executable, "-m", "pipeline", "repro")
    commit(done)
    return done, fresh, output


@pytest.fixture
def done(checkouts: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(checkouts[0])
    return checkouts[0]


def test_the_files_are_as_the_contracts_say(done: Path) -> None:
    raw = pd.read_csv("data/raw/train.csv", usecols=["label"])
    assert tuple(raw["label"].value_counts().sort_index()) == TRAIN_LABEL_COUNTS
    with Path("data/raw/test.csv").open() as file:
        assert file.readline() == ",".join(f"pixel{i}" for i in range(784)) + "\n"
    sample = pd.read_csv("data/raw/sample_submission.csv")
    assert list(sample.columns) == ["ImageId", "Label"]
    assert np.load("data/arrays/test_images.npy").shape == (28000, 28, 28, 1)

    trained = Path("experiments/train/tiny")
    oof, test = np.load(trained / "oof.npy"), np.load(trained / "test.npy")
    labels, folds = np.load("data/arrays/train_labels.npy"), np.load("data/arrays/folds.npy")
    assert (oof.shape, oof.dtype) == ((300, 10), np.float32)
    assert (test.shape, test.dtype) == ((28000, 10), np.float32)
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["cv_accuracy"] == (oof.argmax(axis=1) == labels).mean()
    assert {"cv_accuracy_std", "folds", "seconds"} < set(metrics)
    history = pd.read_csv(trained / "history.csv")
    assert len(history) == 80
    images = np.load("data/arrays/train_images.npy")
    for fold in range(2):
        model = keras.models.load_model(trained / f"fold{fold}.keras")
        predicted = model.predict(images[folds == fold], verbose=0)
        np.testing.assert_allclose(predicted, oof[folds == fold], atol=1e-6)

    lines = Path("submissions/submission.csv").read_bytes().split(b"\n")
    assert lines[0] == b"ImageId,Label"
    assert len(lines) == 28002
    assert lines[-1] == b""
    assert [line.split(b",")[0] for line in lines[1:-1]] == [b"%d" % i for i in range(1, 28001)]
    scores = json.loads(Path("submissions/metrics.json").read_text())
    assert set(scores) == {
        "cv_accuracy", "cv_accuracy_low", "cv_accuracy_high", "leaderboard_accuracy"
    }  # fmt: skip
    assert 0.5 < scores["leaderboard_accuracy"] < 1
    assert scores["cv_accuracy_low"] < scores["cv_accuracy"] < scores["cv_accuracy_high"]


def test_it_says_what_it_does_and_what_came_out(checkouts: tuple[Path, Path, str]) -> None:
    output = checkouts[2]
    assert "tiny fold 2 of 2: accuracy " in output
    assert "To do, about " in output
    assert "2 networks, 40 epochs of 150 images" in output
    assert "Scores of a slice of 300 rows" in output
    assert "kept as repro-1" in output
    assert "make submit MESSAGE='CV 0." in output
    for noise in ("git add", "dvc push", "autostage", "Running stage"):
        assert noise not in output
    assert "local leaderboard" in output
    assert "train@tiny" in output
    assert "leak" not in output
    for noise in ("oneDNN", "cuInit", "InitializeLog", "Traceback", "retracing", "UserWarning"):
        assert noise not in output


def test_only_dealing_and_scoring_open_the_digits_with_the_answers(done: Path) -> None:
    opened = set((done / "opened.txt").read_text().splitlines())
    assert opened == {"pipeline download", "pipeline submission"}


@pytest.mark.slow
def test_the_local_leaderboard_takes_a_submission_once(done: Path) -> None:
    command = (sys.executable, "-m", "pipeline", "upload", "-m", "first try", "--force", "slice")
    assert "not sent: --dry-run" in run(done, *command, "--dry-run")
    output = run(done, *command)
    assert "from CV; noted in submissions/ledger.csv" in output
    assert "this very file was sent on" in run(done, *command, fails=True)
    row = pd.read_csv("submissions/ledger.csv", dtype=str).iloc[0]
    scored = json.loads(Path("submissions/metrics.json").read_text())["leaderboard_accuracy"]
    assert (row["destination"], row["status"], row["dirty"]) == ("local", "complete", "false")
    assert float(row["public_score"]) == pytest.approx(scored, abs=1e-5)
    tracked = MlflowClient(f"sqlite:///{Path('experiments/mlflow.db').resolve()}").get_run(
        row["run_id"]
    )
    assert tracked.data.metrics["public_score"] == pytest.approx(scored, abs=1e-5)
    assert tracked.data.tags["submission_reference"] == "local-1"
    assert "first try" in run(done, sys.executable, "-m", "pipeline", "upload", "--ledger")


@pytest.mark.slow
def test_the_doctor_says_what_is_ready(done: Path) -> None:
    output = run(done, sys.executable, "-m", "pipeline", "doctor")
    for what in (
        "packages as pinned",
        "GB free",
        "not measured yet",
        "none held",
        "no Kaggle credentials",
    ):
        assert what in output
    assert "not ready" not in output


@pytest.mark.slow
def test_the_benchmark_scores_and_times_a_recipe(done: Path) -> None:
    output = run(done, sys.executable, "-m", "pipeline", "benchmark", "tiny")
    assert "tiny  epoch  2/2" in output
    run(done, sys.executable, "-m", "pipeline", "benchmark-speed", "tiny")
    row = pd.read_csv("experiments/benchmark.csv").set_index("recipe").loc["tiny"]
    assert 0.1 < row["leaderboard"] < 1
    assert row["speedup"] > 0
    assert "| `tiny` |" in Path("docs/benchmarks.md").read_text()
    run(done, "git", "checkout", "docs/benchmarks.md")


def test_a_second_repro_does_nothing(done: Path) -> None:
    assert "up to date" in run(done, "dvc", "repro")


@pytest.mark.slow
def test_dvcs_own_commands_have_something_to_say(done: Path) -> None:
    assert "leaderboard" in run(done, "dvc", "metrics", "show")
    assert "train@tiny" in run(done, "dvc", "dag")
    assert "Optuna" in run(done, "dvc", "stage", "list")
    run(done, "dvc", "plots", "show")
    page = (done / "dvc_plots/index.html").read_text()
    for shown in ("Accuracy by epoch", "Confusion matrix", "confusion.png", "worst_errors.png"):
        assert shown in page


def test_the_report_tells_the_run(done: Path) -> None:
    assert "the report: experiments/report.html" in run(
        done, sys.executable, "-m", "pipeline", "report"
    )
    page = Path("experiments/report.html").read_text()
    scores = json.loads(Path("submissions/metrics.json").read_text())
    for name in ("cv_accuracy", "leaderboard_accuracy"):
        assert f"{scores[name]:.5f}" in page
    assert "A network that trains in a second." in page
    assert "This is a slice of 300 rows." in page
    assert "have changed since" not in page


@pytest.mark.slow
def test_the_notebook_runs_on_a_slice(done: Path) -> None:
    cells = json.loads((REPOSITORY / "notebooks/explore.ipynb").read_text())["cells"]
    code = "\n".join("".join(each["source"]) for each in cells if each["cell_type"] == "code")
    notebook = Path("notebooks")
    notebook.mkdir(exist_ok=True)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=notebook, env=os.environ | {"MPLBACKEND": "agg"}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    oof, labels = np.load("experiments/ensemble/oof.npy"), np.load("data/arrays/train_labels.npy")
    wrong = (oof.argmax(axis=1) != labels).sum()
    assert f"{wrong:,} errors in 300 rows" in result.stdout
    assert "metrics.cv_accuracy" in result.stdout


@pytest.mark.slow
def test_an_experiment_changes_a_setting_and_is_compared(done: Path) -> None:
    run(done, "dvc", "exp", "run", "-n", "equal", "-S", "ensemble.method=mean")
    shown = run(done, "dvc", "exp", "show", "--csv")
    assert "equal" in shown
    assert "mean" in shown
    assert "hill_climb" in run(done, "dvc", "params", "diff")
    run(done, "git", "checkout", "-q", ".")
    run(done, "dvc", "checkout", "-q")


def test_mlflow_has_a_run_a_stage_with_a_child_a_fold_and_a_trial(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{done / 'experiments/mlflow.db'}")
    client = MlflowClient()
    experiment = client.get_experiment_by_name("digit-recognizer")
    found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])
    tree = {next(run.info.run_id for run in found if "pipeline" in run.data.tags)}
    for _ in range(3):  # stages, folds and trials, folds of trials
        under = (run for run in found if run.data.tags.get("mlflow.parentRunId") in tree)
        tree |= {run.info.run_id for run in under}
    runs = [run for run in found if run.info.run_id in tree]
    by_name = {run.info.run_name: run for run in runs}
    trials = {f"tiny trial {trial}" for trial in (1, 2)}
    assert len(runs) == len(by_name)  # one tree, though the stages ran in two executions
    assert set(by_name) == trials | {
        WHOLE, "tune tiny", "train tiny", "tiny fold 1", "tiny fold 2",
        "ensemble", "submission",
    }  # fmt: skip
    assert {run.info.status for run in runs} == {"FINISHED"}
    parent, fold = by_name["train tiny"], by_name["tiny fold 1"]
    assert fold.data.tags["mlflow.parentRunId"] == parent.info.run_id
    whole = by_name[WHOLE]
    for name in ("tune tiny", "train tiny", "ensemble", "submission"):
        assert by_name[name].data.tags["mlflow.parentRunId"] == whole.info.run_id
    scores = json.loads((done / "submissions/metrics.json").read_text())
    assert {name: whole.data.metrics[name] for name in scores} == scores
    assert whole.data.metrics["cv_errors"] == round(300 * (1 - scores["cv_accuracy"]))
    assert whole.data.params["recipe.layers.02"] == "ReLU"  # also a layer without arguments
    assert whole.data.params["recipe.loss"] == "CategoricalCrossentropy"
    assert whole.data.tags["rows"] == "slice of 300 rows"
    assert {each.path for each in client.list_artifacts(whole.info.run_id)} == {"tiny.yaml"}
    assert len(client.get_metric_history(fold.info.run_id, "learning_rate")) == 40
    trial = by_name["tiny trial 1"]
    assert len(client.get_metric_history(trial.info.run_id, "fold2_val_accuracy")) == 1
    assert whole.data.metrics["seconds"] > 1
    assert fold.data.metrics["images_per_second"] > 1
    assert parent.inputs.dataset_inputs
    assert len(client.get_metric_history(fold.info.run_id, "val_accuracy")) == 40
    assert parent.data.tags["dvc_stage"] == "train@tiny"
    assert len(parent.data.tags["git_revision"]) == 40
    digest = hashlib.sha256(np.load(done / "data/arrays/train_images.npy").tobytes()).hexdigest()
    assert parent.data.params["data_sha256.train_images"] == digest
    logged = {each.path for each in client.list_artifacts(parent.info.run_id)}
    assert logged >= {"curves.png", "augmented.png"}
    logged = {each.path for each in client.list_artifacts(by_name["ensemble"].info.run_id)}
    assert logged >= {"digits.png", "confusion.png", "suspects.png", "least_certain.png"}
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow puts the model's code first
    (model,) = fold.outputs.model_outputs
    loaded = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    images = np.load(done / "data/arrays/test_images.npy")[:3]
    assert loaded.predict(images).shape == (3, 10)
    assert loaded.predict(images.reshape(3, -1)).shape == (3, 10)
    table = pd.DataFrame(images.reshape(3, -1), columns=[f"pixel{i}" for i in range(784)])
    assert np.array_equal(loaded.predict(table), loaded.predict(images))
    assert np.array_equal(loaded.predict(images.astype(float)), loaded.predict(images))
    assert not client.search_registered_models()  # a slice is not for the registry
    (model,) = by_name["ensemble"].outputs.model_outputs
    champion = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    blended = np.load(done / "experiments/ensemble/test.npy")[:3]
    np.testing.assert_allclose(champion.predict(images), blended, atol=1e-6)


@pytest.mark.slow
def test_an_experiment_says_before_what_is_trained_already(done: Path) -> None:
    output = run(done, sys.executable, "-m", "pipeline", "try", "equal", "ensemble.method=mean")
    (plan,) = (line for line in output.splitlines() if line.startswith("  train@tiny"))
    assert plan.endswith("2 networks, 40 epochs of 150 images; 2 are trained already")
    assert output.index("42,000 labelled digits") < output.index("To do, about ")


@pytest.mark.slow
def test_killed_in_the_middle_of_a_fold_it_ends_with_the_same_files(
    checkouts: tuple[Path, Path, str],
) -> None:
    done, begun, _ = checkouts
    run(begun, "dvc", "repro", "tune@tiny")
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=begun,
        env=environment(begun),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    for line in process.stdout:
        if "2 networks, 2 at a time" in line:
            time.sleep(8)  # both are trained for some epochs
            os.killpg(process.pid, signal.SIGKILL)
            break
    else:
        pytest.fail("it ended before it was killed")
    process.stdout.close()
    process.wait()
    time.sleep(0.5)
    assert not (begun / IDENTICAL[0]).exists()
    cache = begun / "experiments/cache"
    reached = [*cache.glob("*.partial/fit.npz"), *cache.glob("*/model.keras")]
    assert reached  # there is something to continue with
    assert "damaged" not in run(begun, "dvc", "repro")
    for name in IDENTICAL:
        assert (begun / name).read_bytes() == (done / name).read_bytes(), name


@pytest.mark.slow
def test_a_mistake_found_by_dvc_repro_leaves_what_was_there(done: Path) -> None:
    before = {name: (done / name).read_bytes() for name in [*IDENTICAL, "data/raw/train.csv"]}
    good = (done / "params.yaml").read_text()
    named = "competition: digit-recognizer"
    for wrong, said in (
        (good.replace(named, "competition: digits"), "competitions/digits.yaml"),
        (good.replace(named, f"{named}-kaggle"), "no Kaggle credentials found"),
        (good.replace("folds: 2", "folds: 90"), "preprocess.folds: 90 folds, but label"),
    ):
        (done / "params.yaml").write_text(wrong)
        assert said in run(done, "dvc", "repro", fails=True)
        for name, content in before.items():
            assert (done / name).read_bytes() == content
    (done / "params.yaml").write_text(good)
    run(done, "dvc", "repro")
