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
from pipeline.base.paths import BLENDED, SCORES, SECONDS
from pipeline.provenance.revision import CODE_PATHS, git

REFS = "refs/pipeline"
# Files that git is told to ignore, and that describe a result: small, and kept with it, in a folder
# of their own, as DVC refuses outputs that git tracks.
DESCRIBED = Path("run")
DESCRIBE = (BLENDED / "metrics.json", BLENDED / "correct.npy", SECONDS)
# Who commits where git has been told no name.
NOBODY = {"NAME": "pipeline", "EMAIL": "pipeline@localhost"}


def need_git() -> None:
    """Check that this is a git repository.

    Raises:
        UserError: it is none.
    """
    try:
        git("rev-parse", "--git-dir")
    except (OSError, subprocess.CalledProcessError):
        raise UserError("this folder is not a git repository; run `git init` first") from None


def snapshot(message: str) -> str:
    """Commit the project as it is, without touching the branch or the index.

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
        _git(more, "add", "-u", ".")
        new = [name for name in (*CODE_PATHS, "dvc.lock", str(SCORES)) if Path(name).exists()]
        _git(more, "add", "--", *new)
        for path in (each for wanted in DESCRIBE for each in _files(wanted)):
            blob = _git(more, "hash-object", "-w", str(path))
            kept = f"{git('rev-parse', '--show-prefix')}{DESCRIBED / path}"
            _git(more, "update-index", "--add", "--cacheinfo", f"100644,{blob},{kept}")
        tree = _git(more, "write-tree")
    head = revision("HEAD")
    return commit_tree(tree, ["-p", head] if head else [], message)


def _files(path: Path) -> list[Path]:
    """A file, or the files of a folder; none if there is none."""
    return sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []


def commit_tree(tree: str, parents: list[str], message: str) -> str:
    """Commit a tree; `parents` as git takes them. The commit's id."""
    return _git(_identity(), "commit-tree", tree, *parents, "-m", message)


def revision(name: str) -> str | None:
    """The id of the commit that a branch, tag or reference names; None if there is none."""
    try:
        return git("rev-parse", "--verify", "-q", f"{name}^{{commit}}")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(more: dict[str, str], *arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | more)
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
