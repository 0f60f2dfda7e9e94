"""The registry: which blend is the champion, and what a served model needs."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from pipeline.tracking import entries
from pipeline.tracking.journal import JOURNALS
from pipeline.tracking.logged_model import CODE, PIPELINE, REQUIREMENTS
from pipeline.tracking.registry import register

SERVED = """
import sys
import keras  # it has rich from its own requirements; what follows may not
REFUSED = ("optuna", "typer", "rich", "ruamel", "sklearn", "scipy", "psutil")
for name in [name for name in sys.modules if name.split(".")[0] in REFUSED]:
    del sys.modules[name]
class Refuse:
    def find_spec(self, name, *_):
        if name.split(".")[0] in REFUSED:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import numpy as np
from pipeline.base.hardware import keras
from pipeline.network.inputs import network_inputs
from pipeline.network.predict import predict
from pipeline.recipes.recipe import Recipe
recipe = Recipe(description="", layers=["Flatten"], loss="Loss", optimizer="SGD", batch_size=1,
                epochs=1, canvas={"height": 30, "width": 30}, normalize={"deskew": True}, views=2,
                augmentation={"rotation_range": 10})
model = keras.Sequential([keras.Input((30, 30, 1)), keras.layers.Rescaling(1), keras.layers.Flatten(),
                          keras.layers.Dense(10, "softmax")])
images = network_inputs(np.zeros((3, 28, 28, 1), np.uint8), np.arange(3), recipe, 0)
print(predict(model, images, recipe).shape)
"""


@pytest.mark.slow
def test_a_served_model_needs_only_what_its_requirements_list(tmp_path: Path) -> None:
    for part in CODE:
        shutil.copytree(PIPELINE / part, tmp_path / "pipeline" / part)
    command = [sys.executable, "-c", SERVED]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == "(3, 10)\n"
    assert set(REQUIREMENTS) == {"tensorflow", "keras", "numpy", "pydantic"}


def empty_store() -> tuple[MlflowClient, str]:
    """A client of a store in this folder, and an experiment in it."""
    mlflow.set_tracking_uri(f"sqlite:///{Path('experiments/mlflow.db').resolve()}")
    Path("experiments").mkdir(exist_ok=True)
    client = MlflowClient()
    experiment = client.create_experiment(
        "x", artifact_location=Path("artifacts").resolve().as_uri()
    )
    (JOURNALS / "files").mkdir(parents=True)
    return client, experiment


def test_the_champion_gives_way_only_to_what_is_better_beyond_chance(project: Path) -> None:
    client, experiment = empty_store()

    def enter(right: int, rows: str = "r", count: int = 1000) -> dict[str, str]:
        run = client.create_run(experiment).info.run_id
        np.save(JOURNALS / "files/c.npy", np.arange(count) < right)
        made: dict[str, Any] = {
            "name": "blend",
            "plan": {},
            "files": {"correct.npy": "c.npy"},
            "rows_sha256": rows,
        }
        entry = entries.LoggedModel(run="a", **made)
        register(client, "digits", f"runs:/{run}/model", run, entry)
        register(client, "digits", f"runs:/{run}/model", run, entry)  # sent twice, entered once
        return {name: str(at) for name, at in client.get_registered_model("digits").aliases.items()}

    assert enter(900) == {"champion": "1"}
    assert enter(903) == {"champion": "1", "challenger": "2"}  # p 0.125
    assert enter(920) == {"champion": "3", "challenger": "2"}
    assert enter(100, rows="other", count=99)["champion"] == "3"
    assert enter(1000, rows="other", count=2000)["champion"] == "5"


@pytest.mark.slow
def test_another_metric_than_accuracy_has_a_champion_of_its_own(project: Path) -> None:
    client, experiment = empty_store()
    labels = np.arange(400) % 2

    def enter(noise: float, seed: int) -> dict[str, str]:
        run = client.create_run(experiment).info.run_id
        right = np.random.default_rng(seed).normal(labels, noise)
        p = 1 / (1 + np.exp(-4 * (right - 0.5)))
        both = np.stack([1 - p, p], axis=1)
        np.save(JOURNALS / "files/c.npy", both.argmax(axis=1) == labels)
        np.savez(JOURNALS / "files/j.npz", probabilities=both, labels=labels)
        files = {"correct.npy": "c.npy", "judged.npz": "j.npz"}
        plan = {"metric": "log_loss"}
        entry = entries.LoggedModel(run="a", name="blend", plan=plan, files=files, rows_sha256="r")
        register(client, "cats", f"runs:/{run}/model", run, entry)
        return {name: str(at) for name, at in client.get_registered_model("cats").aliases.items()}

    assert enter(1.0, 0) == {"champion": "1"}
    assert enter(1.0, 1)["champion"] == "1"  # within chance
    assert enter(0.4, 2)["champion"] == "3"  # a lower log loss, beyond chance
    assert enter(2.0, 3)["champion"] == "3"
    assert "CV log loss" in client.get_model_version("cats", "3").description
