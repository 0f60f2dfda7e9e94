"""Packs this project's code, recipes and settings into one script."""

import base64
import io
import json
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.base.competition import KAGGLE, competition_path
from pipeline.base.digests import sha256_json
from pipeline.base.paths import PARAMS, TUNED
from pipeline.base.settings import Settings
from pipeline.base.yaml_file import read_yaml
from pipeline.network.task import Task
from pipeline.recipes.files import recipe_path

CODE = Path(__file__).parents[1]
TEMPLATE = Path(__file__).with_name("script.py.txt")
# What this code calls in the versions that it was tried with.
PACKAGES = ("filelock", "polars", "psutil", "pydantic", "rich", "ruamel.yaml", "typer")
KEPT = {".py", ".json", ".html", ".j2"}
WORK = Path("work.json")  # in the packed project: what to train there


def pack(settings: Settings, tasks: list[Task], seconds: int) -> tuple[str, str]:
    """The script, and the digest of its work.

    Args:
        settings: which competition and folds.
        tasks: what to train.
        seconds: after which it stops.
    """
    ways = {task.name: list(task.way) for task in tasks}
    names = [f"{task.name} {task.label}" for task in tasks]
    files = _files(settings, list(ways))
    digest = sha256_json([files, names])
    work = {"ways": ways, "tasks": names, "digest": digest}
    files[str(WORK)] = json.dumps(work)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)  # no date: the same
    script = TEMPLATE.read_text()
    pins = {name: version(name) for name in PACKAGES}
    for mark, value in (("PACKAGES", repr(pins)), ("SECONDS", str(seconds))):
        script = script.replace(f"@@{mark}@@", value)
    return script.replace("@@WORK@@", base64.b64encode(packed.getvalue()).decode()), digest


def _files(settings: Settings, recipes: list[str]) -> dict[str, str]:
    """All texts that the script holds, by their paths in the project."""
    code = [path for path in CODE.rglob("*") if path.suffix in KEPT]
    files = {str(Path(CODE.name) / path.relative_to(CODE)): path.read_text() for path in code}
    params = read_yaml(PARAMS)
    params["recipes"] = recipes
    params["train"] |= {"precision": "float32"}  # measured was here: work.json
    params["compute"] |= {"engine": "local", "address": None, "workers": None}
    params["tracking"] = {"uri": "off"}
    files[str(PARAMS)] = json.dumps(params)
    described: dict[str, Any] = dict(read_yaml(competition_path(settings.competition.name)))
    path = competition_path(settings.competition.name)
    files[str(path)] = json.dumps(described | {"source": KAGGLE})
    for name in recipes:
        files[str(recipe_path(name))] = recipe_path(name).read_text()
        files[str(TUNED / f"{name}.yaml")] = (TUNED / f"{name}.yaml").read_text()
    return files
