"""Bad input at every door: one line, exit code 1, nothing changed; tests/snapshots has all lines."""

import hashlib
import os
import re
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import preprocess
from pipeline.base.files import write_json
from pipeline.base.paths import ARRAYS, SCORES, SUBMISSION
from pipeline.base.settings import load_settings
from pipeline.data.embedded import MNIST
from pipeline.data.submission_file import Template, check_submission
from pipeline.kaggle.ledger import read_ledger
from pipeline.recipes.files import load_recipe
from support.bad_input import settings, tables
from support.bad_input.case import (
    ACCEPTED,
    COMMANDS,
    FILES,
    LIMIT,
    PARAMS,
    PATHS,
    Case,
    nothing,
)
from support.project import REPOSITORY, run_here, write_competition, write_yaml
from support.snapshot import Snapshot

PAGE = REPOSITORY / "docs/bad-input.md"
ALL = REPOSITORY / "tests/snapshots/bad-input.md"
CLASSES = ["0", "1", "2"]
TEMPLATE = Template(["ImageId", "Label"], [str(row) for row in range(1, 13)])
CASES = [*tables.CASES, *settings.CASES]


@pytest.fixture(scope="module")
def seen(request: pytest.FixtureRequest) -> Iterator[Snapshot]:
    snapshot = Snapshot(ALL, request.config.getoption("--write-docs"))
    yield snapshot
    snapshot.close()


@pytest.fixture
def small(project: Path, params: dict[str, Any]) -> Path:
    """A project of 12 images of 2 x 2 pixels, with all the files that one meets."""
    write_yaml(PARAMS, params)
    write_competition(Path(), images={"kind": "rows", "shape": [2, 2, 1]}, rows={})
    for path, content in FILES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    MNIST.touch()
    ARRAYS.mkdir()
    (ARRAYS / "train_labels.npy").write_bytes(b"of an earlier run")
    write_json(ARRAYS / "classes.json", CLASSES)
    TEMPLATE.write()
    write_json(SCORES, {"cv_accuracy": 0.9, "cv_accuracy_low": 0.8, "cv_accuracy_high": 1.0})
    return project


def state() -> dict[str, str]:
    """All files by their names, but for locks and the time a stage took."""
    found = {}
    for path in sorted(Path().rglob("*")):
        kind = path.lstat().st_mode
        if path.parts[:2] == ("experiments", "cache") or path.suffix == ".lock":
            continue
        if stat.S_ISREG(kind):
            with path.open("rb") as file:
                content = file.read(1 << 20)
            found[str(path)] = f"{path.stat().st_size} {hashlib.sha256(content).hexdigest()}"
        else:
            found[str(path)] = f"{stat.S_IFMT(kind):o}"
    return found


def outcome(case: Case, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the case's command."""
    arguments = (case.command or COMMANDS[case.door]).split()
    if case.real:
        command = [sys.executable, "-m", "pipeline", *arguments]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | case.environment
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, env=environment
        )
        return result.returncode, result.stdout, result.stderr
    return run_here(*arguments), *capsys.readouterr()


def result(door: str) -> Any:
    """What the pipeline takes from the input behind a door."""
    loaded = load_settings()
    if door in ("train.csv", "test.csv", "sample_submission.csv"):
        preprocess.main()
        return {path.name: path.read_bytes() for path in ARRAYS.iterdir()}
    if "submission" in door:
        return check_submission(SUBMISSION, TEMPLATE, loaded.competition, CLASSES)
    if door == "ledger.csv":
        return read_ledger()
    return loaded if door == "params.yaml" else load_recipe("tiny")


ALL_CASES = [*CASES, *settings.MODEL_CASES]


def slow(case: Case) -> bool:
    return case in settings.MODEL_CASES or case.input in ("10 million columns", "99,000 brackets")


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow if slow(case) else ()) for case in ALL_CASES],
    ids=str,
)
def test_input(small: Path, case: Case, seen: Snapshot, capsys: pytest.CaptureFixture[str]) -> None:
    clean = result(case.door) if case.said == ACCEPTED else None
    case.make(PATHS.get(case.door, Path()))
    if case.said == ACCEPTED:
        assert result(case.door) == clean
        seen.check(case.door, case.input, "accepted; the result is the same")
        return
    before = state()
    code, printed, said = outcome(case, capsys)
    if case.door == "train.csv" and case.said == "12 train images":  # nothing is wrong
        assert (code, said) == (0, "")
        assert case.said in printed
        seen.check(case.door, case.input, "accepted")
        return
    assert code == 1
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert case.said in said
    assert printed == ""
    assert state() == before
    seen.check(case.door, case.input, re.sub(r"error: |-[a-z0-9_]{8}/", "", said).strip())


def test_a_full_disk_is_one_line_and_leaves_what_was_there(
    small: Path, seen: Snapshot, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # an array's header is 128 bytes
    try:
        code, printed, said = outcome(Case("disk", "full", nothing, "", "preprocess"), capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, printed) == (1, "")
    assert said.startswith("error: data/.preprocess-")
    assert said.endswith("train.npy: File too large; free some space and run the command again\n")
    assert state() == before
    seen.check(
        "disk", "full, in the middle of a file", re.sub(r"error: |-[a-z0-9_]{8}/", "", said).strip()
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_one_line(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ARRAYS.chmod(0o555)
    code, _, said = outcome(Case("disk", "read-only", nothing, "", "preprocess"), capsys)
    ARRAYS.chmod(0o755)
    assert code == 1
    assert said.endswith("Permission denied; give this user access and run the command again\n")


def test_each_door_is_met_twice_by_the_real_command() -> None:
    for door in {case.door for case in CASES}:
        assert sum(case.real for case in CASES if case.door == door) >= 2, door


def test_the_page_in_docs_shows_rows_of_the_whole_table() -> None:
    shown = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    assert len(shown) == 15
    assert set(shown) <= set(ALL.read_text().splitlines())
