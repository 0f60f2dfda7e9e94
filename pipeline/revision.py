"""Which code is checked out, and whether a file was made by it."""

import hashlib
import subprocess
from pathlib import Path

import yaml

# What decides a result, for "was it changed since the revision"; outputs do not count.
CODE_PATHS = ("pipeline", "experiments/recipes", "params.yaml", "dvc.yaml", "requirements.txt")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def git_state() -> dict[str, str]:
    """The revision checked out, and whether the code or the settings differ from it."""
    try:
        revision = _git("rev-parse", "HEAD")
        dirty = bool(_git("status", "--porcelain", "--", *CODE_PATHS))
    except (OSError, subprocess.CalledProcessError):
        return {"git_revision": "none", "git_dirty": "true"}
    return {"git_revision": revision, "git_dirty": str(dirty).lower()}


def made_by_head(path: Path) -> bool:
    """Whether the dvc.lock of the revision checked out holds this very file among its outputs."""
    try:
        lock = yaml.safe_load(_git("show", "HEAD:./dvc.lock")) or {}
    except (OSError, subprocess.CalledProcessError, yaml.YAMLError):
        return False
    outputs = [out for stage in lock.get("stages", {}).values() for out in stage.get("outs", [])]
    # MD5 is DVC's name for a file, not a safeguard.
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return any(out["path"] == path.as_posix() and out["md5"] == digest for out in outputs)
