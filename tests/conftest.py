"""A small project to test in: a tiny recipe, a few made-up digits, everything else real."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import settings

from pipeline.hardware import one_thread

REPOSITORY = Path(__file__).parent.parent
one_thread()  # as the train stage does
# The machine may be busy: no test depends on the time that something takes.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

TINY: dict[str, Any] = {
    "description": "A network that trains in a second.",
    "augmentation": {"rotation_range": 5, "width_shift_range": 0.1},
    "layers": [
        {"Conv2D": {"filters": 8, "kernel_size": 5, "strides": 4, "use_bias": False}},
        {"BatchNormalization": {"momentum": 0.8}},
        "ReLU",
        "Flatten",
        {"Dropout": {"rate": 0.1}},
    ],
    "loss": "CategoricalCrossentropy",
    "optimizer": {
        "AdamW": {
            "learning_rate": {
                "CosineDecay": {
                    "initial_learning_rate": 0.001,
                    "warmup_target": 0.01,
                    "warmup_steps": "25%",
                    "decay_steps": "75%",
                }
            }
        }
    },
    "batch_size": 32,
    "epochs": 2,
    "search": {"layers.4.Dropout.rate": {"float": {"low": 0.0, "high": 0.5}}},
}


def write_yaml(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value, sort_keys=False))


def write_docs(path: Path, lines: list[str]) -> None:
    """Write a page that a test makes of what it saw; fail if that changed it, so that one looks."""
    written = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text() != written:
        path.write_text(written)
        pytest.fail(f"{path.relative_to(REPOSITORY)} was written anew: look at it, and commit it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the end-to-end test, the longest; the other worker does the rest meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


def small_params() -> dict[str, Any]:
    """params.yaml as it comes, made small."""
    value: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    value["recipes"] = ["tiny"]
    value["preprocess"]["folds"] = 2
    value["tracking"]["uri"] = "off"
    value["compute"]["workers"] = 1
    value["tune"] |= {"trials": 2, "rows": 100, "epochs": 1}
    return value


@pytest.fixture
def params() -> dict[str, Any]:
    return small_params()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]) -> Path:
    """An empty project with the tiny recipe, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    write_yaml(tmp_path / "params.yaml", params)
    write_yaml(tmp_path / "experiments/recipes/tiny.yaml", TINY)
    return tmp_path


def digits(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Made-up digits that can be told apart: a bright bar whose place is the label."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows, dtype=np.uint8) % 10
    images = random.integers(0, 60, (rows, 28, 28, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 2 : 2 * label + 6, 6:22] = 250
    return images, labels


@pytest.fixture
def arrays(project: Path) -> Path:
    """The project with data/arrays made, of 200 train and 50 test digits."""
    write_arrays(project / "data/arrays")
    return project


def write_arrays(folder: Path) -> None:
    from pipeline.preprocess import assign_folds

    folder.mkdir(parents=True)
    images, labels = digits(200)
    np.save(folder / "train_images.npy", images)
    np.save(folder / "train_labels.npy", labels)
    np.save(folder / "test_images.npy", digits(50, seed=1)[0])
    np.save(folder / "folds.npy", assign_folds(labels, 2, seed=0))


@pytest.fixture
def mnist(project: Path) -> Path:
    """The project with the embedded digits."""
    (project / "data").mkdir(exist_ok=True)
    shutil.copy(REPOSITORY / "data/mnist.npz", project / "data/mnist.npz")
    return project


def probabilities(labels: np.ndarray, right: float, seed: int) -> np.ndarray:
    """Made-up predictions, float32 (rows, 10), that favour the label in a share `right` of rows."""
    random = np.random.default_rng(seed)
    said = np.where(random.random(len(labels)) < right, labels, random.integers(0, 10, len(labels)))
    sure = random.uniform(0.3, 0.9, (len(labels), 1))
    return ((1 - sure) / 10 + sure * np.eye(10)[said]).astype(np.float32)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after a run of two recipes, `tiny` and `other`, with made-up predictions."""
    folder = tmp_path_factory.mktemp("finished")
    write_yaml(folder / "params.yaml", small_params() | {"recipes": ["tiny", "other"]})
    write_yaml(folder / "experiments/recipes/tiny.yaml", TINY)
    write_yaml(folder / "experiments/recipes/other.yaml", TINY | {"description": "Another."})
    write_arrays(folder / "data/arrays")
    for seed, name in enumerate(("tiny", "other")):
        write_trained(folder, name, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        blend_and_submit()
    return folder


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project, as the working directory."""
    shutil.copytree(finished_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def write_trained(project: Path, name: str, seed: int) -> None:
    """What the train stage leaves of a recipe, without its models."""
    from pipeline.plots import curves, mosaic

    folder = project / "experiments/train" / name
    folder.mkdir(parents=True)
    labels = digits(200)[1]
    oof = probabilities(labels, 0.9, seed)
    for row in (5, 55, 105):  # three labels that every member is sure are wrong
        oof[row] = 0.005 + 0.95 * np.eye(10)[(labels[row] + 1) % 10]
    np.save(folder / "oof.npy", oof)
    np.save(folder / "test.npy", probabilities(digits(50, seed=1)[1], 0.9, seed + 10))
    history = pd.DataFrame(
        [
            {"fold": fold, "epoch": epoch, "loss": 1 / epoch, "val_loss": 1 / epoch}
            | {"accuracy": 0.9 + 0.02 * epoch - 0.01 * fold, "val_accuracy": 0.9}
            for fold in (0, 1)
            for epoch in (1, 2)
        ]
    )
    history.to_csv(folder / "history.csv", index=False)
    curves(history, folder / "curves.png", name)
    mosaic({"0": digits(3)[0]}, folder / "augmented.png", name)
    machine = {"processor": "A Processor", "cores": 2, "gpus": []}
    trained = {"cv_accuracy": 0.9, "cv_accuracy_std": 0.01, "folds": [0.91, 0.89], "seconds": 75.0}
    trained |= {"epochs": 2, "precision": "float32"}
    trained |= {"machine": machine | {"tensorflow": "2", "keras": "3"}}
    (folder / "metrics.json").write_text(json.dumps(trained))
    write_yaml(project / f"experiments/tune/{name}.yaml", {"values": {}, "taken": False})


def blend_and_submit() -> None:
    """What the ensemble and submission stages write, without their locks and MLflow."""
    from pipeline.config import load_settings
    from pipeline.ensemble import make_blend
    from pipeline.files import BLENDED, METRICS, SUBMISSION, write_json
    from pipeline.submission import write_submission

    settings = load_settings()
    metrics = make_blend(settings)
    write_json(BLENDED / "metrics.json", metrics)
    write_submission(SUBMISSION, np.load(BLENDED / "test.npy"), settings.competition)
    wanted = ("cv_accuracy", "cv_accuracy_low", "cv_accuracy_high")
    write_json(METRICS, {name: metrics[name] for name in wanted} | {"leaderboard_accuracy": 0.9})
