"""A copy of this checkout, made small, in which the real `dvc repro` runs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.project import REPOSITORY, TINY, write_yaml

# Notes which stage opens the digits that hold the leaderboard's answers.
SPY = """
import sys
def spy(event, arguments):
    if event == "open" and str(arguments[0]).endswith("mnist.npz"):
        with open("opened.txt", "a") as file:
            at = sys.orig_argv.index("-m") + 1
            print(*sys.orig_argv[at : at + 2], file=file)
sys.addaudithook(spy)
"""


def run(folder: Path, *command: str, fails: bool = False) -> str:
    """Run a command as a user inside .venv would; return what it printed."""
    result = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=300
    )
    assert result.returncode in ((1, 255) if fails else (0,)), result.stdout + result.stderr
    return result.stdout + result.stderr


def environment(folder: Path) -> Mapping[str, str]:
    spy = folder / "spy/sitecustomize.py"
    spy.parent.mkdir(exist_ok=True)
    spy.write_text(SPY)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "KAGGLE_"))
    } | {"KAGGLE_CONFIG_DIR": str(folder / ".kaggle-none")}
    git = {
        f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return kept | git | {"PATH": path, "PYTHONPATH": str(spy.parent)}


def copy_checkout(folder: Path, params: dict[str, Any], workers: int = 1) -> Path:
    """A repository of its own with this checkout's files, made small."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).exists() and name not in ("dvc.lock", "submissions/metrics.json"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    params["preprocess"]["rows"] = 300
    params["tune"] |= {"trials": 2, "epochs": 1}
    params["train"] |= {"epochs": 40, "precision": "float32"}
    params["compute"]["workers"] = workers
    write_yaml(folder / "params.yaml", params)
    write_yaml(folder / "experiments/recipes/tiny.yaml", TINY)
    with (folder / ".gitignore").open("a") as file:
        file.write("/spy/\n/opened.txt\n/.kaggle-none/\n")
    run(folder, "git", "init", "-q")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    run(folder, "git", "add", ".")
    run(folder, "git", "commit", "-q", "--allow-empty", "-m", "run")
