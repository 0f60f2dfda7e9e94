"""`make kaggle-train` in whole: the script run as Kaggle runs it, its folds, and the submission."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.kernels import follow
from pipeline.runs import kaggle_train as train
from support.checkout import commit, copy_checkout
from support.kaggle_server import Kaggle
from support.project import REPOSITORY, digits, small_params, write_competition

SAME = ("experiments/train/tiny/oof.npy", "experiments/ensemble/test.npy",
        "submissions/submission.csv")  # fmt: skip


def tables() -> dict[str, bytes]:
    """A competition of 28 x 28 digits as Kaggle has it."""
    pixels = [f"pixel{at}" for at in range(784)]
    train, labels = digits(120)
    test, _ = digits(40, seed=1)
    rows = [",".join(["label", *pixels])]
    for label, image in zip(labels, train.reshape(120, -1), strict=True):
        rows.append(",".join(map(str, [label, *image])))
    others = [",".join(pixels), *(",".join(map(str, image)) for image in test.reshape(40, -1))]
    sample = ["ImageId,Label", *(f"{row + 1},0" for row in range(40))]
    found = {"train.csv": rows, "test.csv": others, "sample_submission.csv": sample}
    return {name: ("\n".join(each) + "\n").encode() for name, each in found.items()}


def checkout(folder: Path) -> Path:
    params = small_params()
    copy_checkout(folder, params)
    read: dict[str, Any] = yaml.safe_load((folder / "params.yaml").read_text())
    read["preprocess"]["rows"] = None
    read["train"]["epochs"] = 3
    (folder / "params.yaml").write_text(yaml.safe_dump(read))
    write_competition(folder, source="kaggle", rows={"train": 120, "test": 40})
    commit(folder)
    return folder


@pytest.mark.slow
def test_the_script_makes_the_folds_of_the_local_engine_and_the_rest_is_done_here(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "POLL", 0.05)
    kaggle.files = tables()
    local, here = checkout(tmp_path / "local"), checkout(tmp_path / "here")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test")
    subprocess.run(["dvc", "repro", "-q"], cwd=local, check=True)
    monkeypatch.chdir(here)
    assert train.main(dry=True, accelerator="NvidiaTeslaT4") == 0
    script = Path("experiments/cache/kernel/script.py")
    inside, working = tmp_path / "kaggle/input/digit-recognizer", tmp_path / "kaggle/working"
    working.mkdir(parents=True)
    inside.mkdir(parents=True)
    for name, content in kaggle.files.items():
        (inside / name).write_bytes(content)
    monkeypatch.setenv("PIPELINE_INPUT", str(inside.parent))
    monkeypatch.setenv("OMP_SCHEDULE", "static")  # another machine by name, with the same bits
    path = here / script
    done = subprocess.run([sys.executable, path], cwd=working, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 networks are in folds.zip" in done.stdout
    assert sorted(each.name for each in working.iterdir()) == ["folds.json", "folds.zip"]
    monkeypatch.delenv("PIPELINE_INPUT")
    monkeypatch.delenv("OMP_SCHEDULE")
    kaggle.output = {each.name: each.read_bytes() for each in working.iterdir()}
    assert train.main(dry=False, accelerator="NvidiaTeslaT4") == 0
    (sent,) = kaggle.scripts
    assert sent["text"] == script.read_text()
    for name in SAME:
        assert (here / name).read_bytes() == (local / name).read_bytes(), name
    metrics = (here / "experiments/train/tiny/metrics.json").read_text()
    assert "OMP_SCHEDULE" in metrics  # where they were trained
    assert REPOSITORY.as_posix() not in sent["text"]


@pytest.mark.slow
def test_the_notebook_runs_the_pipeline_in_a_folder_laid_out_as_kaggles(tmp_path: Path) -> None:
    inside, working = tmp_path / "input", tmp_path / "working"
    project = checkout(inside / "project")
    rows = {"train": 120, "test": 40}
    write_competition(project, "digit-recognizer-kaggle", source="kaggle", rows=rows)
    data = inside / "digit-recognizer"
    data.mkdir()
    working.mkdir()
    for name, content in tables().items():
        (data / name).write_bytes(content)
    cells = json.loads((REPOSITORY / "notebooks/kaggle.ipynb").read_text())["cells"]
    code = "\n".join("".join(each["source"]) for each in cells if each["cell_type"] == "code")
    binaries = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PIPELINE_INPUT": str(inside),
        "PIPELINE_WORK": str(tmp_path / "work"),
        "MAKEFLAGS": f"-o .venv/ready BIN={binaries}",  # not set up again for the test
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=working, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (working / "submission.csv").read_text().startswith("ImageId,Label\n1,")
    assert (working / "report.html").exists()
    assert "using the files in" in done.stdout
