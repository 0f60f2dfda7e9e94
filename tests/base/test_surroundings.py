"""What the caller's shell has set, and what it leads to: nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.project import REPOSITORY

SHOW = (
    "import os, json; from pipeline.base.surroundings import set_aside; set_aside();"
    "import getpass, pathlib; print(json.dumps([dict(os.environ), getpass.getuser(), str(pathlib.Path.home())]))"
)


def shown(*prefix: str, **more: str) -> tuple[dict[str, str], str, str]:
    import json

    environment = {**os.environ, **more, "PYTHONPATH": str(REPOSITORY)}
    command = [*prefix, sys.executable, "-c", SHOW]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    values, user, home = json.loads(done.stdout)
    return values, user, home


def test_a_notebooks_backend_gits_folders_and_an_unusable_shell_are_set_aside() -> None:
    values, _, _ = shown(
        MPLBACKEND="module://matplotlib_inline.backend_inline",
        GIT_DIR="/nowhere",
        GIT_WORK_TREE="/nowhere",
        PYTHONWARNINGS="error",
        SHELL="/usr/sbin/nologin",
    )
    assert values["MPLBACKEND"] == "agg"
    assert values["SHELL"] == "/bin/sh"
    assert not {"GIT_DIR", "GIT_WORK_TREE", "PYTHONWARNINGS"} & set(values)


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root becomes another user")
def test_a_user_without_a_name_or_a_home_has_both() -> None:
    # Within this process's reach: the interpreter may be in root's own folders.
    code = (
        "import os; os.environ.clear(); os.setuid(54321);"
        "from pipeline.base.surroundings import set_aside; set_aside();"
        "import getpass, pathlib; print(getpass.getuser(), pathlib.Path.home().is_dir())"
    )
    early = "import getpass, pathlib, tempfile, pwd, pipeline.base.surroundings;"
    done = subprocess.run(
        [sys.executable, "-c", early + code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.stdout.split() == ["user54321", "True"], done.stderr


INJECTIONS = {
    "try": ["NAME=`touch {}`", "SET=a=b"],
    "take": ["NAME=a$$(touch {})"],
    "check-recipe": ["RECIPE=`touch {}`"],
    "explain": ["ROW=1; touch {}"],
    "ui": ["PORT=1; touch {}"],
    "submit": ["MESSAGE=`touch {}`", "FORCE=`touch {}`", 'NAME="; touch {}; "'],
    "tune": ["RECIPE=$(shell touch {})"],
    "deals": ["DEALS=x; touch {}", "QUICK=`touch {}`"],
    "benchmark-speed": ["RECIPES=`touch {}`"],
    "cluster-join": ["HEAD=`touch {}`", "TOKEN=`touch {}`"],
    "tracking-server": ['DATABASE="; touch {}; "', "PORT=`touch {}`"],
    "chaos": ["ONLY=`touch {}`", "NAME='; touch {}; '"],
}


@pytest.mark.parametrize("target", INJECTIONS)
def test_no_text_of_a_user_is_run_by_the_shell(target: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    given = [each.format(path) for each in INJECTIONS[target]]
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("python", "mlflow", "dvc", "uv"):
        program = folder / name
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        program.chmod(0o755)
    done = subprocess.run(
        ["make", target, *given, f"BIN={folder}", "-o", ".venv/ready", "-o", ".venv/cluster"],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    assert not path.exists(), done.stdout
    assert "touch" in done.stdout  # it came through, as text
