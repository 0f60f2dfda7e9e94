"""A small project to test in: a tiny recipe, a few made-up digits, everything else real."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

REPOSITORY = Path(__file__).parent.parent

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the end-to-end test, the longest; the other worker does the rest meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture
def params() -> dict[str, Any]:
    """params.yaml as it comes, made small."""
    value: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    value["recipes"] = ["tiny"]
    value["preprocess"]["folds"] = 2
    value["tracking"]["uri"] = "off"
    value["tune"] |= {"trials": 2, "rows": 100, "epochs": 1}
    return value


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
    from pipeline.preprocess import assign_folds

    folder = project / "data/arrays"
    folder.mkdir(parents=True)
    images, labels = digits(200)
    np.save(folder / "train_images.npy", images)
    np.save(folder / "train_labels.npy", labels)
    np.save(folder / "test_images.npy", digits(50, seed=1)[0])
    np.save(folder / "folds.npy", assign_folds(labels, 2, seed=0))
    return project


@pytest.fixture
def mnist(project: Path) -> Path:
    """The project with the embedded digits."""
    (project / "data").mkdir(exist_ok=True)
    shutil.copy(REPOSITORY / "data/mnist.npz", project / "data/mnist.npz")
    return project
