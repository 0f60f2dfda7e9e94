"""docs/first-day.md, command by command, in its order, in a checkout made small."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from support.checkout import copy_checkout, environment
from support.loopback import free_port
from support.project import REPOSITORY, TINY, write_yaml

pytestmark = pytest.mark.slow
SERVES = ("make ui", "make draw")


def commands(page: str) -> list[str]:
    """The lines of a page's shell blocks, comments left out."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def run(folder: Path, line: str) -> str:
    """Run a line as typed, with the packages of this environment; what it printed."""
    words = shlex.split(line)
    if words[0] == "make":  # nothing is installed
        words[1:1] = ["-o", ".venv/ready"]
    if line in SERVES:
        words.append(f"PORT={free_port()}")
    process = subprocess.Popen(
        words, cwd=folder, env=environment(folder), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    printed = ""
    if line in SERVES:
        assert process.stdout
        for each in process.stdout:
            printed += each
            if "http://127.0.0.1" in each:
                # To the command alone: make and its shell would end with an error.
                started = psutil.Process(process.pid).children(recursive=True)
                (command,) = (each for each in started if "pipeline" in each.cmdline())
                command.send_signal(signal.SIGINT)
                break
    rest, _ = process.communicate(timeout=300)
    assert process.returncode == 0, f"{line}: {printed}{rest}"
    return printed + rest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout with small networks by the names that the page uses."""
    params: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    folder = copy_checkout(tmp_path / "checkout", params)
    for name in ("compact", "quick"):
        write_yaml(folder / f"experiments/recipes/{name}.yaml", TINY | {"epochs": 1})
    settings = yaml.safe_load((folder / "params.yaml").read_text())
    settings["preprocess"] = {"folds": 2, "rows": 300}
    settings["tune"]["trials"] = 0
    write_yaml(folder / "params.yaml", settings)
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    (folder / ".git/info/exclude").write_text(".venv\n")
    return folder


def test_every_command_of_the_page_works_in_its_order(folder: Path) -> None:
    lines = commands((REPOSITORY / "docs/first-day.md").read_text())
    assert lines[0] == "make quick"
    assert len(lines) >= 15
    printed: dict[str, str] = {}
    for line in lines:
        if line.startswith("make submit"):  # a slice is not sent without its name
            line += " FORCE=slice"
        if line.startswith("make explain"):  # a slice has few rows
            line = f"make explain ROW={np.load(folder / 'data/arrays/rows.npy')[0]}"
        printed[line] = run(folder, line)
        for noise in ("Traceback", "git add", "dvc push", "autostage", "Warning"):
            assert noise not in printed[line], (line, noise, printed[line])
    assert "Scores of a quick run" in printed["make quick"]
    assert "kept as repro-1" in printed["make repro"]
    assert "longer" in printed["make compare"]
    assert "repro-1 is in place again" in printed["make back"]
    sent = printed["make ledger"].splitlines()[-1]
    assert "my first one" in sent
    assert "complete" in sent
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True
    )
    known = {"params.yaml", "dvc.lock", "submissions/", "experiments/recipes/"}
    changed = [line[3:] for line in status.stdout.splitlines()]
    assert all(any(each.startswith(start) for start in known) for each in changed), changed
