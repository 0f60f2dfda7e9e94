"""What a run needs around it: looked at before, and told in one line with its cure."""

import errno
import subprocess
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.health import surroundings
from pipeline.health.surroundings import check_needed, troubles


@pytest.fixture
def tracked(project: Path) -> Path:
    (project / "dvc.yaml").write_text("stages: {}\n")
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    subprocess.run(["git", "add", "."], cwd=project, check=True)
    return project


def test_nothing_is_wrong_with_a_project_as_cloned(tracked: Path) -> None:
    check_needed()
    assert not [trouble for _, trouble, needed in troubles() if trouble and needed]


def test_a_project_without_git_is_told_what_to_run(project: Path) -> None:
    with pytest.raises(UserError, match="git init && git add"):
        check_needed()


def test_a_merged_dvc_lock_is_told_before_anything_runs(tracked: Path) -> None:
    (tracked / "dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n>>>>>>> other\n")
    with pytest.raises(UserError, match="delete it and run `make repro`"):
        check_needed()


def test_a_file_system_without_locks_is_named(
    tracked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(UserError, match=r"has no locks \(No locks available\); move the project"):
        check_needed()


def test_little_room_for_temporary_files_is_told(
    tracked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "SMALL", 1 << 60)
    with pytest.raises(UserError, match="set TMPDIR to a folder on a larger disk"):
        check_needed()


def test_a_home_that_cannot_be_written_is_a_note(
    tracked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc/1")
    monkeypatch.setattr("os.access", lambda *_: False)
    found = {name: (trouble, needed) for name, trouble, needed in troubles()}
    assert "set HOME to a folder of your own" in found["home folder"][0]
    assert not found["home folder"][1]
