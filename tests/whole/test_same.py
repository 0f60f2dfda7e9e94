"""Same in, same out: another place, time zone, mask, order, user ... `make test-all`."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import copy_checkout, environment, run
from support.project import REPOSITORY, TINY, write_yaml

pytestmark = pytest.mark.slow
RECIPES = ("tiny", "wider")
IDENTICAL = (
    *(f"experiments/train/{name}/{kind}.npy" for name in RECIPES for kind in ("oof", "test")),
    "experiments/ensemble/test.npy",
    "submissions/submission.csv",
)
# What must not matter. Threads, processor and versions do: they are part of a cached fold's name.
OTHERWISE = {
    "TZ": "Asia/Kathmandu",
    "LC_ALL": "tr_TR.UTF-8",
    "PYTHONHASHSEED": "12345",
    "PYTHONUTF8": "0",
    "COLUMNS": "40",
}


def outcome(folder: Path, recipes: tuple[str, ...], uri: str | None) -> Path:
    params: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["recipes"] = list(recipes)
    params["preprocess"]["folds"] = 2
    params["tracking"]["uri"] = uri
    copy_checkout(folder, params)
    layers = [{"Conv2D": {"filters": 12, "kernel_size": 5, "strides": 4}}, *TINY["layers"][1:]]
    write_yaml(folder / "experiments/recipes/wider.yaml", TINY | {"layers": layers})
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, to hold the others against."""
    folder = outcome(tmp_path_factory.mktemp("same") / "one", RECIPES, None)
    run(folder, "dvc", "repro")
    return folder


def require_the_same(one: Path, other: Path) -> None:
    for name in IDENTICAL:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_the_same_files_wherever_and_however_it_runs(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = outcome(tmp_path / "somewhere else/another", RECIPES[::-1], "off")
    for name, value in OTHERWISE.items():
        monkeypatch.setenv(name, value)
    assert environment(other)["TZ"] == OTHERWISE["TZ"]
    run(other, "sh", "-c", "umask 077; dvc repro")
    require_the_same(first, other)
    assert not (other / "experiments/mlflow.db").exists()


def test_the_same_files_by_another_user(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    become = ["runuser", "-u", "nobody", "--"]
    if os.getuid() != 0 or subprocess.run([*become, sys.executable, "-c", ""]).returncode:
        pytest.skip("needs root, and a Python and a checkout that `nobody` may read")
    folder = Path(tempfile.mkdtemp())
    try:
        monkeypatch.setenv("HOME", str(folder))
        other = outcome(folder / "one", RECIPES, None)
        subprocess.run(["chown", "-R", "nobody", folder], check=True)
        run(other, *become, "dvc", "repro")
        require_the_same(first, other)
    finally:
        shutil.rmtree(folder)
