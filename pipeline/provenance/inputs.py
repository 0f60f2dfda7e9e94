"""Whether a stage's inputs are still what the stages before it wrote.

DVC considers a file unchanged while its size, inode and time are, and a bit that flips on the disk
changes none of them. So a stage that DVC runs reads its inputs once and compares them with
dvc.lock.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.base.digests import md5_file
from pipeline.base.errors import UserError
from pipeline.base.paths import PARAMS, RAW, dvc_object, dvc_objects
from pipeline.base.yaml_file import parse_yaml


def check_inputs() -> None:
    """Compare the inputs of the stage that DVC is running with dvc.lock; without DVC do nothing.

    Raises:
        UserError: a file is not what the stage before wrote; it names both.
    """
    name = os.environ.get("DVC_STAGE", "").rpartition(":")[2]
    stage, _, item = name.partition("@")
    try:
        as_dvc = YAML(typ="safe", pure=True)
        stages = as_dvc.load(Path("dvc.yaml"))["stages"]
        locked = as_dvc.load(Path("dvc.lock"))["stages"]
        recipes = parse_yaml(PARAMS.read_text())["recipes"]
        deps = stages[stage].get("do", stages[stage])["deps"]
    except (OSError, KeyError, TypeError, YAMLError):
        return  # not run by DVC, or the first run of all; DVC has checked the rest
    inputs = [Path(dep.replace("${item}", item)) for dep in deps]
    for maker, out in outputs(locked, recipes):
        read = any(_overlap(Path(out["path"]), path) for path in inputs)
        if read and out.get("hash") == "md5":  # DVC 2 had another
            _check(maker, out)


def outputs(stages: dict[str, Any], recipes: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """The outputs that dvc.lock's stages name, each with its stage; not those of former recipes."""
    return [
        (maker, out)
        for maker, lock in stages.items()
        if maker.partition("@")[2] in ("", *recipes)
        for out in lock.get("outs", ())
    ]


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _check(maker: str, out: dict[str, Any]) -> None:
    """Compare an output in place with what dvc.lock says of it."""
    path = Path(out["path"])
    if path.is_dir():
        listed = [
            {"md5": md5_file(file), "relpath": file.relative_to(path).as_posix()}
            for file in sorted(path.rglob("*"))
            if file.is_file()
        ]
        listed.sort(key=lambda each: each["relpath"])
        text = json.dumps(listed, sort_keys=True).encode()
        found = hashlib.md5(text, usedforsecurity=False).hexdigest() + ".dir"
        changed = [path / name for name in _changed(listed, out["md5"])]
    elif path.exists():
        found, changed = md5_file(path), []
    else:
        return  # missing: the stage that reads it says so
    if found != out["md5"]:
        names = ", ".join(map(str, changed or [path]))
        # The step that writes data/raw replaces no file there that may be a user's own.
        again = "delete it and " if path.is_relative_to(RAW) else ""
        again += f"`dvc repro -f -s {maker}` makes it again"
        raise UserError(
            f"{names}: not what {maker} wrote (dvc.lock): damaged on the disk, or changed by hand; "
            f"{again}, `dvc commit {maker}` keeps it as it is"
        )


def _changed(listed: list[dict[str, str]], wanted: str) -> list[str]:
    """Which files of a folder differ from DVC's list of it; none if that cannot be read."""
    try:
        known = json.loads(dvc_object(dvc_objects(), wanted).read_text())
        before = {each["relpath"]: each["md5"] for each in known}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    now = {each["relpath"]: each["md5"] for each in listed}
    return sorted(name for name in before | now if before.get(name) != now.get(name))
