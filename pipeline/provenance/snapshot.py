"""Commits of the project as it is, beside the branch: they keep which code made which result.

A snapshot changes neither the branch nor the index nor a file. It holds what git tracks and, of the
files that git does not know yet, those that decide or describe a result.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.paths import BLENDED, FOR_DVC, SCORES, SECONDS
from pipeline.provenance.dvc import LOCK
from pipeline.provenance.revision import CODE_PATHS, git

REFS = "refs/pipeline"
# Files that git is told to ignore, and that describe a result: small, and kept with it, in a folder
# of their own, as DVC refuses outputs that git tracks.
DESCRIBED = Path("run")
DESCRIBE = (
    BLENDED / "metrics.json",
    BLENDED / "correct.npy",
    BLENDED / "judged.npz",
    BLENDED / "history.csv",
    SECONDS,
)
# Who commits where git has been told no name.
NOBODY = {"NAME": "pipeline", "EMAIL": "pipeline@localhost"}


def need_git() -> None:
    """Check that git tracks this project.

    Raises:
        UserError: it does not.
    """
    try:
        git("ls-files", "--error-unmatch", "dvc.yaml")
    except OSError:
        raise UserError("git is not installed; the project needs it to keep results") from None
    except subprocess.CalledProcessError as error:
        if "dubious ownership" in error.stderr:
            trust = f"`git config --global --add safe.directory {Path.cwd()}`"
            raise UserError(
                f"git refuses a folder of another user: {trust}, if you trust it"
            ) from None
        hint = "run `git init && git add . && git commit -m begin` first"
        raise UserError(f"git does not track this project; {hint}") from None


def snapshot(message: str, began: str | None = None) -> str:
    """Commit the project as it is, without touching the branch or the index.

    Args:
        message: the commit's message.
        began: a commit to take code, settings and recipes from instead; the results are those here.

    Returns:
        The commit's id; its parent is the revision checked out.

    Raises:
        UserError: git refuses, as for a file that cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        known = Path(git("rev-parse", "--git-path", "index"))
        if known.exists():
            shutil.copy(known, index)  # with the times of files, so that few are read
        more = {"GIT_INDEX_FILE": str(index)}
        new = [str(LOCK), str(SCORES), str(FOR_DVC)]
        if began:
            run_git("read-tree", began, more=more)
        else:
            run_git("add", "-u", ".", more=more)
            new += CODE_PATHS
        run_git("add", "--", *(name for name in new if Path(name).exists()), more=more)
        for path in (each for wanted in DESCRIBE for each in _files(wanted)):
            blob = run_git("hash-object", "-w", str(path))
            kept = f"{git('rev-parse', '--show-prefix')}{DESCRIBED / path}"
            run_git("update-index", "--add", "--cacheinfo", f"100644,{blob},{kept}", more=more)
        tree = run_git("write-tree", more=more)
    head = revision("HEAD")
    return commit_tree(tree, ["-p", head] if head else [], message)


def _files(path: Path) -> list[Path]:
    """A file, or the files of a folder; none if there is none."""
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    return [each for each in found if each.is_file()]


def commit_tree(tree: str, parents: list[str], message: str) -> str:
    """Commit a tree; `parents` as git takes them. The commit's id."""
    return run_git("commit-tree", tree, *parents, "-m", message, more=_identity())


def revision(name: str) -> str | None:
    """The id of the commit that a branch, tag or reference names; None if there is none."""
    try:
        return git("rev-parse", "--verify", "-q", f"{name}^{{commit}}")
    except (OSError, subprocess.CalledProcessError):
        return None


def run_git(*arguments: str, more: dict[str, str] | None = None) -> str:
    """What a git command prints, with `more` in its environment.

    Raises:
        UserError: it fails; its own message says why.
    """
    command = ["git", *arguments]
    given = os.environ | (more or {})
    done = subprocess.run(command, capture_output=True, text=True, env=given)
    if done.returncode:
        raise UserError(f"git {arguments[0]} failed: {done.stderr}")
    return done.stdout.strip()


def _identity() -> dict[str, str]:
    """An author and a committer for git, if it knows none."""
    try:
        git("var", "GIT_COMMITTER_IDENT")
    except (OSError, subprocess.CalledProcessError):
        who = ("AUTHOR", "COMMITTER")
        return {f"GIT_{each}_{key}": value for each in who for key, value in NOBODY.items()}
    return {}
