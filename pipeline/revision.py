"""Which code is checked out, and whether a file was made by it."""

import hashlib
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import read_yaml
from pipeline.files import ROOT
from pipeline.intact import md5_file

DVC_VARIABLES = ("DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")

# What decides a result, for "was it changed since the revision"; outputs do not count.
CODE_PATHS = ("pipeline", "experiments/recipes", "params.yaml", "dvc.yaml", "requirements.txt")


def git(*arguments: str) -> str:
    """What a git command prints; `OSError` or `CalledProcessError` where there is none to ask."""
    command = ["git", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def git_state() -> dict[str, str]:
    """The revision checked out, and whether the code or the settings differ from it."""
    try:
        revision = git("rev-parse", "HEAD")
        dirty = bool(git("status", "--porcelain", "--", *CODE_PATHS))
    except (OSError, subprocess.CalledProcessError):
        return {"git_revision": "none", "git_dirty": "true"}
    return {"git_revision": revision, "git_dirty": str(dirty).lower()}


def checkout_name() -> str:
    """A name for this checkout on this machine, among others that log to the same server."""
    place = f"{platform.node()}:{ROOT.resolve()}"
    return hashlib.sha256(place.encode()).hexdigest()[:12]


def where_from() -> dict[str, str]:
    """This checkout, its revision, and which of DVC's stages and experiments is running."""
    dvc = {name.lower(): os.environ[name] for name in DVC_VARIABLES if os.environ.get(name)}
    return {"checkout": checkout_name()} | git_state() | dvc


def code_sha256() -> str:
    """The SHA-256 of the code and recipes that are here, whether committed or not."""
    digest = hashlib.sha256()
    for path in sorted(
        [*Path("pipeline").glob("*.py"), *Path("experiments/recipes").glob("*.yaml")]
    ):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def made_by_head(path: Path) -> bool:
    """Whether the revision checked out made this very file.

    Its dvc.lock must hold the file among its outputs, and the code and settings that it names must
    be those that are here.
    """
    try:
        stages = (yaml.safe_load(git("show", "HEAD:./dvc.lock")) or {}).get("stages", {}).values()
    except (OSError, subprocess.CalledProcessError, yaml.YAMLError):
        return False
    made = any(
        out["path"] == path.as_posix() and out.get("md5") == md5_file(path)
        for stage in stages
        for out in stage.get("outs", [])
    )
    return made and not any(_changed(stage) for stage in stages)


def stale_stages() -> list[str]:
    """The stages in dvc.lock whose code or settings are others now than when they ran.

    Raises:
        UserError: dvc.lock is not good YAML, as after a merge.
    """
    lock = Path("dvc.lock")
    stages = read_yaml(lock).get("stages", {}) if lock.exists() else {}
    return [name for name, stage in stages.items() if _changed(stage)]


def _changed(stage: dict[str, Any]) -> bool:
    """Whether a file or a setting that a stage of dvc.lock depended on is another now."""
    for dep in stage.get("deps", []):
        path = Path(dep["path"])
        if path.is_relative_to("pipeline") and (not path.is_file() or md5_file(path) != dep["md5"]):
            return True
    for name, values in stage.get("params", {}).items():
        here: Any = read_yaml(Path(name))
        for key, value in values.items():
            found = here
            for part in key.split("."):
                found = found.get(part) if isinstance(found, dict) else None
            if found != value:
                return True
    return False
