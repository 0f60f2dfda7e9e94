"""Another competition by the real `dvc repro`: ten lines of description and nothing else."""

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import commit, copy_checkout, run
from support.layouts import LAYOUTS
from support.project import small_params, write_yaml

SHALLOW = {
    "description": "A network for images of any size that trains in seconds.",
    "layers": [{"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same"}}, "GlobalAveragePooling2D"],
    "loss": "CategoricalCrossentropy", "optimizer": {"Adam": {"learning_rate": 0.1}}, "batch_size": 8, "epochs": 40,
    "search": {"batch_size": {"categorical": [8, 16]}},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cactus", "dog_breeds", "blindness"])
def test_from_its_files_to_a_good_submission(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]()
    layout.write(tmp_path / "theirs")
    (tmp_path / "checkout").mkdir()
    params: dict[str, Any] = small_params(recipes=["shallow"], competition="mine")
    folder = copy_checkout(tmp_path / "checkout", params)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["preprocess"]["rows"], params["tune"]["rows"] = None, 10
    write_yaml(folder / "params.yaml", params)
    write_yaml(folder / "experiments/recipes/shallow.yaml", SHALLOW)
    described = layout.description | {"source": str(tmp_path / "theirs")}
    write_yaml(folder / "competitions/mine.yaml", described)
    commit(folder)
    printed = run(folder, "python", "-m", "pipeline", "repro")
    assert "Traceback" not in printed
    with (folder / "submissions/submission.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == layout.header
    assert [row[0] for row in rows] == list(layout.truth)
    metric = described["metric"]
    scores = yaml.safe_load((folder / "submissions/scores.json").read_text())
    assert scores[f"cv_{metric}"] < 0.8 if metric == "log_loss" else scores[f"cv_{metric}"] > 0.8
    assert (folder / "experiments/report.html").exists()
    assert list((folder / "experiments/cache/speed").glob("*.float32-faster.json"))  # for a plan
    assert not (folder / "opened.txt").exists()  # nobody looked at MNIST
    assert "nothing to do" in run(folder, "python", "-m", "pipeline", "repro")
    assert metric.split("_")[0] in run(folder, "python", "-m", "pipeline", "score").lower()
