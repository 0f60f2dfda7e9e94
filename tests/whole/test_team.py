"""A colleague gets a finished run, from git and DVC's remote, without training it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import commit, copy_checkout, run
from support.project import REPOSITORY

RESULTS = "refs/pipeline/results/*"


@pytest.mark.slow
def test_a_colleague_takes_a_run_that_was_pushed(tmp_path: Path) -> None:
    params: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["recipes"], params["preprocess"]["folds"] = ["tiny"], 2
    mine, shared = copy_checkout(tmp_path / "mine", params), tmp_path / "shared.git"
    run(mine, "dvc", "remote", "add", "--default", "team", str(tmp_path / "remote"))
    commit(mine)
    run(mine, "python", "-m", "pipeline", "repro")
    run(mine, "dvc", "push")
    run(mine, "git", "init", "-q", "--bare", str(shared))
    run(mine, "git", "push", "-q", str(shared), "HEAD:refs/heads/main", f"{RESULTS}:{RESULTS}")
    run(mine, "git", "clone", "-q", "--branch", "main", str(shared), str(tmp_path / "theirs"))
    theirs = tmp_path / "theirs"
    run(theirs, "git", "fetch", "-q", "origin", f"{RESULTS}:{RESULTS}")
    assert "repro-1" in run(theirs, "python", "-m", "pipeline", "compare")
    said = run(theirs, "python", "-m", "pipeline", "take", "repro-1")
    assert "repro-1 is in place" in said
    name = "submissions/submission.csv"
    assert (theirs / name).read_bytes() == (mine / name).read_bytes()
    assert "didn't change" in run(theirs, "dvc", "repro")
    assert not list((theirs / "experiments").glob("cache/*/done.json"))
