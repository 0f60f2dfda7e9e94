"""Same in, same out: another place, time zone, locale, mask, hash seed, order. `make test-faults`."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import copy_checkout, environment, run
from conftest import REPOSITORY, TINY, write_yaml

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


def test_the_same_files_wherever_and_however_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = outcome(tmp_path / "one", RECIPES, None)
    run(one, "dvc", "repro")
    other = outcome(tmp_path / "somewhere else/another", RECIPES[::-1], "off")
    for name, value in OTHERWISE.items():
        monkeypatch.setenv(name, value)
    assert environment(other)["TZ"] == OTHERWISE["TZ"]
    run(other, "sh", "-c", "umask 077; dvc repro")
    for name in IDENTICAL:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert not (other / "experiments/mlflow.db").exists()
