"""What is sent to Kaggle, and what runs there, as far as it runs in this process."""

import base64
import io
import json
import zipfile
from pathlib import Path

import pytest

from pipeline.base.settings import load_settings
from pipeline.data.arrays import load_data
from pipeline.data.results import Tuned
from pipeline.kernels import kernel
from pipeline.kernels.bring import bring_folds
from pipeline.kernels.pack import WORK, pack
from pipeline.kernels.tasks import tasks_of


@pytest.fixture
def tuned(arrays: Path) -> Path:
    Tuned().write("tiny")
    return arrays


def unpacked(script: str, folder: Path) -> None:
    packed = next(line for line in script.splitlines() if line.startswith("WORK = "))
    content = base64.b64decode(packed.removeprefix("WORK = ").strip('"'))
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)


def test_the_script_holds_code_recipes_and_settings_and_is_the_same_each_time(tuned: Path) -> None:
    settings = load_settings()
    tasks = tasks_of(settings, load_data())
    script, digest = pack(settings, tasks, 60)
    assert (script, digest) == pack(settings, tasks, 60)
    assert pack(settings, tasks[1:], 60)[1] != digest  # what is left is another run
    compile(script, "script.py", "exec")
    unpacked(script, tuned / "there")
    assert (tuned / "there/pipeline/network/fit.py").exists()
    assert (tuned / "there/experiments/recipes/tiny.yaml").exists()
    params = json.loads((tuned / "there/params.yaml").read_text())
    assert params["tracking"]["uri"] == "off"
    assert params["compute"]["engine"] == "local"
    described = json.loads((tuned / "there/competitions/digit-recognizer.yaml").read_text())
    assert described["source"] == "kaggle"
    work = json.loads((tuned / "there" / WORK).read_text())
    names = ["tiny fold 1", "tiny fold 2"]
    assert work == {"ways": {"tiny": ["float32", "faster"]}, "tasks": names, "digest": digest}


WORKS = {
    "ways": {"tiny": ["float32", "faster"]},
    "tasks": ["tiny fold 1", "tiny fold 2"],
    "digest": "abc",
}


def test_what_runs_there_leaves_folds_that_are_taken_here(
    tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    WORK.write_text(json.dumps(WORKS))
    (tuned / "out").mkdir()
    kernel.main(tuned / "out", 3600.0)
    assert "2 of 2 networks are in folds.zip" in capsys.readouterr().out
    about = json.loads((tuned / "out/folds.json").read_text())
    assert about["work"] == "abc"
    data = load_data()
    assert bring_folds(tuned / "out/folds.zip", tasks_of(load_settings(), data), data) == 2


def test_after_its_time_no_network_goes_on(tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    WORK.write_text(json.dumps(WORKS))
    (tuned / "out").mkdir()
    kernel.main(tuned / "out", -1.0)
    assert "0 of 2 networks are in folds.zip" in capsys.readouterr().out
