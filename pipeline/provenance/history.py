"""The results of this project's runs, each kept as a commit: refs/pipeline/results/<name>.

A result's commit is a snapshot of the project after the run: settings, recipes, code, dvc.lock and
scores. DVC's cache has its files. refs/worktree/pipeline/now leads along the results that were in
place.
"""

import io
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.competition import competition_path
from pipeline.base.errors import UserError, did_you_mean, quoted
from pipeline.base.paths import BLENDED, EXPERIMENTS, PARAMS, SCORES, SECONDS
from pipeline.base.yaml_file import parse_yaml
from pipeline.data.results import Blended, Scores
from pipeline.provenance.dvc import LOCK
from pipeline.provenance.linked import link_cache, link_objects
from pipeline.provenance.revision import CODE_PATHS, git
from pipeline.provenance.snapshot import DESCRIBED, REFS, commit_tree, revision, run_git, snapshot
from pipeline.recipes.files import recipe_path

RESULTS = f"{REFS}/results"
ONCE = ("download", "preprocess", "ensemble", "submission")  # stages of every run
DECIDE = (*CODE_PATHS, str(LOCK), str(SCORES))
NOW = "refs/worktree/pipeline/now"  # the result in place; each worktree of git has its own


@dataclass(frozen=True)
class Result:
    """A finished run."""

    name: str
    commit: str
    time: str  # when it was recorded, ISO

    def read(self, path: Path | str) -> bytes:
        """A file of the run's commit.

        Raises:
            UserError: the commit has no such file.
        """
        command = ["git", "show", f"{self.commit}:./{path}"]
        done = subprocess.run(command, capture_output=True)
        if done.returncode:
            raise UserError(f"the result {self.name} has no {path}")
        return done.stdout

    @property
    def params(self) -> dict[str, Any]:
        """The run's params.yaml, whatever version of the code it is for."""
        return dict(parse_yaml(self.read(PARAMS).decode()))

    @property
    def recipes(self) -> dict[str, dict[str, Any]]:
        """What its recipes said, by name."""
        names = self.params.get("recipes", [])
        read = {name: self.read(recipe_path(name)).decode() for name in names}
        return {name: dict(parse_yaml(text)) for name, text in read.items()}

    @property
    def competition(self) -> Path:
        """The description of its competition."""
        return competition_path(str(self.params.get("competition")))

    @property
    def scores(self) -> Scores:
        """The scores of its submission file."""
        return Scores.model_validate_json(self.read(SCORES))

    @property
    def blended(self) -> Blended:
        """The blend's metrics: over which rows the scores are."""
        return Blended.model_validate_json(self.read(DESCRIBED / BLENDED / "metrics.json"))

    @property
    def correct(self) -> np.ndarray:
        """Which of the rows that judge the blend are right, bool (rows,)."""
        read: np.ndarray = np.load(io.BytesIO(self.read(DESCRIBED / BLENDED / "correct.npy")))
        return read

    @property
    def judged(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The blend's probabilities of those rows, and their labels; None where rows count."""
        try:
            content = self.read(DESCRIBED / BLENDED / "judged.npz")
        except UserError:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as read:
            return read["probabilities"].astype(np.float32), read["labels"]

    @property
    def history(self) -> bytes:
        """Its recipes' training, the mean over folds: a CSV file of the ensemble stage."""
        return self.read(DESCRIBED / BLENDED / "history.csv")

    @property
    def stage_seconds(self) -> dict[Path, bytes]:
        """How long each stage took when it last ran, as files of `SECONDS`."""
        kept = git("ls-tree", "--name-only", self.commit, f"{DESCRIBED / SECONDS}/").splitlines()
        return {Path(path).relative_to(DESCRIBED): self.read(path) for path in kept}

    @property
    def seconds(self) -> float:
        """How long its stages took together."""
        names = self.params.get("recipes", [])
        stages = {*ONCE, *(f"{step}-{name}" for step in ("tune", "train") for name in names)}
        noted = self.stage_seconds.items()
        return float(sum(json.loads(text) for path, text in noted if path.stem in stages))


def results() -> list[Result]:
    """All results, the oldest first; none without git."""
    form = "%(refname:lstrip=3)%09%(objectname)%09%(creatordate:iso-strict)"
    try:
        lines = git("for-each-ref", "--sort=creatordate", f"--format={form}", RESULTS).splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []
    return [Result(*line.split("\t")) for line in lines]


def result(name: str) -> Result:
    """The result of that name.

    Raises:
        UserError: there is none.
    """
    known = {each.name: each for each in results()}
    if name not in known:
        hint = did_you_mean(name, known, "`make compare` lists them")
        raise UserError(f"there is no result {quoted(name)}; {hint}")
    return known[name]


def current() -> Result | None:
    """The result that was put in place last, by a run, `make take` or `make back`."""
    return _placed(NOW)


def previous() -> Result | None:
    """The result that was in place before that one."""
    # The first link of the chain has the result itself as its only parent.
    return _placed(f"{NOW}^1") if revision(f"{NOW}^2") else None


def _placed(link: str) -> Result | None:
    """The result that a link of the chain stands for: its last parent."""
    if revision(link) is None:
        return None
    commit = revision(f"{link}^2") or revision(f"{link}^1") or ""
    name, _, time = git("log", "-1", "--format=%s%x09%cI", commit).partition("\t")
    return Result(name, commit, time)


def in_place(found: Result) -> bool:
    """Whether the project's settings, recipes and results are those of a result."""
    try:
        paths = (PARAMS, LOCK, SCORES, found.competition, *map(recipe_path, found.recipes))
        return all(path.read_bytes() == found.read(path) for path in paths)
    except (OSError, UserError):
        return False


def differ(one: str, other: str, paths: tuple[str, ...] = DECIDE) -> bool:
    """Whether two commits differ in some paths: code, settings, recipes, dvc.lock or scores."""
    return bool(git("diff", "--name-only", one, other, "--", *paths))


def folder_of(name: str) -> Path:
    """The folder of the project in an experiment's copy of the repository.

    Raises:
        UserError: there is no such result, or it was not made in a folder that is still there.
    """
    result(name)
    folder = EXPERIMENTS / name / run_git("rev-parse", "--show-prefix")
    if not (folder / SCORES).exists():
        hint = f"`make take NAME={name}` puts that result in place"
        raise UserError(f"{folder} is not there any more; {hint}")
    link_objects(EXPERIMENTS / name)  # the project may have been moved since
    link_cache(folder)
    return folder


def record(name: str, began: str | None = None) -> Result:
    """Keep what is in place as a result of that name.

    Args:
        name: its name; the result that had it is kept under another reference.
        began: the snapshot from before the run, which has its code and settings: they may have been
            edited since; None: those that are here.
    """
    before = revision(f"{RESULTS}/{name}")
    if before:
        git("update-ref", f"{REFS}/kept/{name}-{before[:10]}", before)
    git("update-ref", f"{RESULTS}/{name}", snapshot(name, began))
    return result(name)


def record_run(began: str | None = None) -> Result:
    """Keep what is in place as the next `repro-<n>`, if it is not a result already."""
    found = next((each for each in reversed(results()) if in_place(each)), None)
    if found is None:
        found = record(next_name(), began)
    place(found)
    return found


def next_name() -> str:
    """What the next result of `make repro` is called: `repro-<n>`."""
    numbers = [int(each.name[6:]) for each in results() if each.name.startswith("repro-")]
    return f"repro-{1 + max(numbers, default=0)}"


def place(found: Result) -> None:
    """Note which result is in place, as a link on a chain, along which `make back` goes."""
    now, before = current(), revision(NOW)
    if now is None or now.commit != found.commit:
        flags = ["-p", before] if before else []
        tree = f"{found.commit}^{{tree}}"
        link = commit_tree(tree, [*flags, "-p", found.commit], found.name)
        git("update-ref", NOW, link)


def step_back() -> None:
    """Note that the result before is in place again."""
    git("update-ref", NOW, f"{NOW}^1")


def keep_revision(message: str) -> str:
    """The revision that holds the code, settings and dvc.lock that are here.

    The one checked out, a result's, or else a snapshot with a reference of its own; `none` without
    git.
    """
    try:
        made = snapshot(message)
        kept = git("for-each-ref", "--format=%(objectname)", RESULTS, f"{REFS}/kept").splitlines()
        for known in (revision("HEAD"), *kept):
            if known and not differ(known, made):
                return known
        git("update-ref", f"{REFS}/kept/{made[:12]}", made)
    except (OSError, subprocess.CalledProcessError, UserError):
        return "none"
    return made
