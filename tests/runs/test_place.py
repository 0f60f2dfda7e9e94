"""Results are kept, put in place and returned to; nothing is lost, nothing runs again."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.base.errors import UserError
from pipeline.base.paths import BLENDED, SCORES, SECONDS
from pipeline.provenance import dvc
from pipeline.provenance.changes import changes
from pipeline.provenance.history import (
    NOW,
    current,
    in_place,
    place,
    record,
    record_run,
    result,
    results,
)
from pipeline.provenance.snapshot import revision, snapshot
from support.competition import git
from support.project import run_here, write_yaml

MADE = Path("made.txt")


@pytest.fixture
def kept(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose one stage copies a setting, after its first run; that result is kept."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "t")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "t@test.invalid")
    stage = {"cmd": "cat params.yaml > made.txt", "params": ["seed"], "outs": ["made.txt"]}
    write_yaml(Path("dvc.yaml"), {"stages": {"made": stage}})
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    analytics = false\n")
    Path(".gitignore").write_text(
        "/experiments/*\n!/experiments/recipes\n/data\n/made.txt\n/.dvc/tmp\n/.dvc/cache\n"
    )
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "begin")
    run(seed=0, cv=0.9)
    return finished


def run(seed: int, cv: float) -> None:
    """What a run with another seed does: the stage, the scores, the result kept."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    write_yaml(Path("params.yaml"), params | {"seed": seed})
    assert dvc.pending() == ["made"]
    assert dvc.reproduce() == 0
    SCORES.write_text(json.dumps(json.loads(SCORES.read_text()) | {"cv_accuracy": cv}))
    SECONDS.mkdir(parents=True, exist_ok=True)
    (SECONDS / "tune-tiny.json").write_text(str(seed + 1.5))
    record_run()


def seed() -> int:
    return int(yaml.safe_load(Path("params.yaml").read_text())["seed"])


def test_each_run_is_kept_once_beside_the_branch(kept: Path) -> None:
    branch = revision("HEAD")
    record_run()  # the same once more
    assert [each.name for each in results()] == ["repro-1"]
    run(seed=1, cv=0.8)
    assert [each.name for each in results()] == ["repro-1", "repro-2"]
    assert revision("HEAD") == branch
    assert result("repro-2").scores.cv_accuracy == 0.8
    assert result("repro-2").seconds == 2.5
    assert np.array_equal(result("repro-2").correct, np.load(BLENDED / "correct.npy"))
    assert changes(result("repro-1"), result("repro-2")) == ["seed 0 -> 1"]
    status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True)
    assert "A  " not in status.stdout  # nothing was added to the index


def test_the_first_result_in_place_promises_no_way_back(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git("update-ref", "-d", NOW)  # as after `make quick` in an empty clone
    assert run_here("take", "repro-1") == 0
    told = capsys.readouterr().out
    assert "repro-1 is in place" in told
    assert "make back" not in told
    assert run_here("back") == 1


def test_back_returns_step_by_step_and_take_goes_anywhere(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        run(seed=number, cv=0.9 - number / 10)
    assert run_here("back") == 0
    assert (seed(), current().name) == (1, "repro-2")  # type: ignore[union-attr]
    assert "seed: 1" in MADE.read_text()
    assert json.loads(SCORES.read_text())["cv_accuracy"] == 0.8
    assert (SECONDS / "tune-tiny.json").read_text() == "2.5"
    assert dvc.pending() == []  # nothing to run again
    assert run_here("back") == 0
    assert seed() == 0
    assert run_here("back") == 1
    assert "there is no result before this one" in capsys.readouterr().err
    assert run_here("take", "repro-3") == 0
    assert "`make back` returns to what was" in capsys.readouterr().out
    assert seed() == 2
    assert "seed: 2" in MADE.read_text()
    assert run_here("back") == 0  # to what was in place before, not to repro-2
    assert seed() == 0
    assert {each.name for each in results()} == {"repro-1", "repro-2", "repro-3"}
    assert run_here("take", "repro-9") == 1
    assert "there is no result 'repro-9'; did you mean repro-" in capsys.readouterr().err


def test_settings_that_were_edited_since_are_kept_and_back_leaves_them(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(seed=1, cv=0.8)
    params = yaml.safe_load(Path("params.yaml").read_text())
    write_yaml(Path("params.yaml"), params | {"seed": 77})  # not run
    assert run_here("back") == 0
    assert (seed(), current().name) == (1, "repro-2")  # type: ignore[union-attr]
    said = capsys.readouterr().out
    line = next(each for each in said.splitlines() if "your edits are kept: " in each)
    command = line.split("`")[1].split()  # as printed, it brings them back
    assert command[0] == "git"
    git(*command[1:])
    assert seed() == 77


def test_a_recipe_comes_back_as_it_was(kept: Path) -> None:
    recipe = Path("experiments/recipes/tiny.yaml")
    before = recipe.read_text()
    recipe.write_text(before.replace("trains in a second", "was changed"))
    run(seed=1, cv=0.8)
    assert run_here("back") == 0
    assert recipe.read_text() == before
    assert run_here("take", "repro-2") == 0
    assert "was changed" in recipe.read_text()
    assert in_place(result("repro-2"))


def test_an_edited_recipe_is_kept_before_it_is_replaced(kept: Path) -> None:
    recipe = Path("experiments/recipes/tiny.yaml")
    run(seed=1, cv=0.8)
    recipe.write_text(recipe.read_text() + "# mine\n")  # neither run nor committed
    assert run_here("take", "repro-1") == 0
    assert "# mine" not in recipe.read_text()
    references = subprocess.run(
        ["git", "for-each-ref", "--format=%(objectname)", "refs/pipeline/kept"],
        capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    shown = [["git", "show", f"{each}:{recipe}"] for each in references]
    texts = [subprocess.run(each, capture_output=True, text=True).stdout for each in shown]
    assert any(text.endswith("# mine\n") for text in texts)


def test_what_is_edited_while_it_runs_is_not_in_the_result(kept: Path) -> None:
    began = snapshot("start")
    params = yaml.safe_load(Path("params.yaml").read_text())
    write_yaml(Path("params.yaml"), params | {"seed": 5})
    SCORES.write_text(json.dumps(json.loads(SCORES.read_text()) | {"cv_accuracy": 0.7}))
    found = record_run(began)
    assert found.params["seed"] == 0
    assert found.scores.cv_accuracy == 0.7


def test_a_result_that_takes_a_name_again_leaves_the_older_one(kept: Path) -> None:
    first = record("quick")
    place(first)
    SCORES.write_text(json.dumps(json.loads(SCORES.read_text()) | {"cv_accuracy": 0.7}))
    second = record("quick")
    assert second.commit != first.commit
    assert current().commit == first.commit  # type: ignore[union-attr]
    assert revision(f"refs/pipeline/kept/quick-{first.commit[:10]}") == first.commit


def test_compare_names_what_changed_and_fits_80_columns(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = np.load(BLENDED / "correct.npy")
    metrics: dict[str, Any] = json.loads((BLENDED / "metrics.json").read_text())
    np.save(BLENDED / "correct.npy", np.zeros_like(right))
    recipe = Path("experiments/recipes/tiny.yaml")
    recipe.write_text(recipe.read_text().replace("filters: 8", "filters: 12"))
    (BLENDED / "metrics.json").write_text(json.dumps(metrics | {"cv_accuracy": 0.0}))
    run(seed=1, cv=0.0)
    monkeypatch.setattr("pipeline.runs.compare.console.width", 80, raising=False)
    assert run_here("compare") == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.replace("│", " ").split())
    for part in ("repro-1", "Beside repro-2, in place", "seed 1 -> 0"):
        assert part in words
    assert "filters 12 -> 8" in words
    listed = changes(result("repro-2"), result("repro-1"))
    assert listed == ["seed 1 -> 0", "tiny: layers.0 Conv2D: filters 12 -> 8"]
    assert "better (won" in words


def test_without_git_it_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    assert run_here("repro") == 1
    said = capsys.readouterr().err
    assert said == (
        "error: git does not track this project; run `git init && git add . && git commit -m begin` first\n"
    )
    with pytest.raises(UserError, match="there is no result"):
        result("repro-1")


def test_a_result_whose_files_the_cache_has_lost_is_not_put_in_place(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(seed=1, cv=0.8)
    lost = [path for path in Path(".dvc/cache").rglob("*") if path.is_file()]
    lost = [path for path in lost if path.read_bytes() != MADE.read_bytes()]  # as by `dvc gc -w`
    assert lost
    for path in lost:
        path.unlink()
    before = {path: path.read_bytes() for path in (Path("params.yaml"), Path("dvc.lock"), MADE)}
    assert run_here("take", "repro-1") == 1
    said = capsys.readouterr().err
    assert "DVC's cache no longer has made.txt of repro-1" in said
    assert "nothing was changed" in said
    assert before == {path: path.read_bytes() for path in before}
    assert in_place(result("repro-2"))
    told = said.split("`")[3]  # what it says to run
    assert told.startswith("git restore --source=")
    git(*told.split()[1:])
    assert seed() == 0


def test_each_worktree_knows_what_is_in_place_there(kept: Path, tmp_path: Path) -> None:
    git("worktree", "add", "-q", str(tmp_path / "other"), "-b", "other")
    asked = ["git", "-C", str(tmp_path / "other"), "rev-parse", "-q", "--verify"]
    assert current() == result("repro-1")
    assert subprocess.run([*asked, NOW], stdout=subprocess.DEVNULL).returncode == 1
    assert (
        subprocess.run([*asked, result("repro-1").commit], stdout=subprocess.DEVNULL).returncode
        == 0
    )
