"""dvc.yaml against the code: a stage must run again when what it does has changed."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY

from pipeline.config import Settings

STAGES: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
# These say, note, draw or log; what a stage writes does not depend on them.
APART = {"console", "stage", "tracking", "summary", "revision", "model_plan"}


def imports(module: str) -> set[str]:
    tree = ast.parse((REPOSITORY / f"pipeline/{module}.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "pipeline":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline."):
            found.add((node.module or "").removeprefix("pipeline."))
    return found


def reached(module: str) -> set[str]:
    seen: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting |= imports(name) - seen - APART
    return seen


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_each_module_it_uses(name: str) -> None:
    stage = STAGES[name].get("do", STAGES[name])
    deps = {Path(dep).stem for dep in stage["deps"] if dep.startswith("pipeline/")}
    assert deps == reached(name)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_what_it_does_and_names_known_settings(name: str) -> None:
    stage = STAGES[name].get("do", STAGES[name])
    assert stage["desc"]
    for key in stage["params"]:
        section, _, inner = key.partition(".")
        field = Settings.model_fields[section].annotation
        assert not inner or inner in getattr(field, "model_fields", {})


def test_no_stage_imports_mlflow_and_only_scoring_the_answers() -> None:
    modules = {file.stem: file.read_text() for file in (REPOSITORY / "pipeline").glob("*.py")}
    mlflow = {name for name, text in modules.items() if re.search(r"(import|from) mlflow\b", text)}
    assert mlflow == {"mlflow_store", "logged_model", "registry", "blend_model"}
    for stage in STAGES:
        assert not reached(stage) & mlflow
    assert {name for name, text in modules.items() if "deal(" in text} == {
        "competition", "download", "leaderboard"
    }  # fmt: skip


def test_every_setting_makes_a_stage_run_again() -> None:
    used = {key.split(".")[0] for each in STAGES.values() for key in each.get("do", each)["params"]}
    assert set(Settings.model_fields) - used == {"tracking", "compute", "kaggle"}  # where, not what
