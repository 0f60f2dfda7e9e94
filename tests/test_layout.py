"""The tree of pipeline/: what its folders may import, and which of them dvc.yaml depends on."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.base.settings import Settings
from support.project import REPOSITORY

PIPELINE = REPOSITORY / "pipeline"
STAGES: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
STEPS = [*STAGES, "upload"]
FOLDERS = {path.parent.name for path in PIPELINE.glob("*/__init__.py")}
# They say, log, draw or check; what a stage writes does not depend on them.
NEVER_DECIDE = {
    "provenance",
    "tracking",
    "report",
    "health",
    "benchmarks",
    "runs",
    "cluster",
    "kernels",
}


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name below `pipeline`; a package by the folder's."""
    found = {}
    for path in PIPELINE.rglob("*.py"):
        parts = path.relative_to(PIPELINE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of this project that a module imports, inside functions too."""
    known, found = modules(), set()
    for node in ast.walk(ast.parse(known[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline"):
            inner = (node.module or "").removeprefix("pipeline").lstrip(".")
            for alias in node.names:
                whole = f"{inner}.{alias.name}".lstrip(".")
                found.add(whole if whole in known else inner)
    return frozenset(found - {""})


def folder(module: str) -> str:
    return module.partition(".")[0]


def reached(module: str, leaving_out: frozenset[str] = frozenset()) -> set[str]:
    """All that a module imports, and what that imports."""
    seen: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting |= {each for each in imports(name) if folder(each) not in leaving_out} - seen
    return seen - {module}


def test_a_file_at_the_top_is_a_step_and_no_library_module_imports_one() -> None:
    top = {path.stem for path in PIPELINE.glob("*.py")} - {"__init__", "__main__"}
    assert top == set(STEPS)
    for module in modules():
        if folder(module) in FOLDERS:
            assert not imports(module) & set(STEPS), module


def test_only_what_network_may_import_decides_weights() -> None:
    allowed = {"base", "data", "recipes", "network"}
    for module in modules():
        if folder(module) == "network":
            assert {folder(each) for each in reached(module)} <= allowed, module


def test_no_stage_depends_on_what_never_decides() -> None:
    for stage in STAGES.values():
        code = {Path(dep).name for dep in deps(stage)}
        assert not code & NEVER_DECIDE
    for module in modules():
        if folder(module) in FOLDERS - NEVER_DECIDE:
            assert not {folder(each) for each in reached(module)} & NEVER_DECIDE, module


def deps(stage: dict[str, Any]) -> list[str]:
    return [dep for dep in stage.get("do", stage)["deps"] if dep.startswith("pipeline/")]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_each_folder_it_reaches_and_on_no_other(name: str) -> None:
    found = {folder(each) for each in reached(name, frozenset(NEVER_DECIDE))}
    wanted = [f"pipeline/{name}.py", *(f"pipeline/{each}" for each in sorted(found))]
    assert deps(STAGES[name]) == wanted
    assert len(wanted) <= 8


def test_imports_run_downwards_through_six_floors_without_a_circle() -> None:
    below = {
        name: {folder(each) for module in modules() if folder(module) == name
               for each in imports(module)} - {name}
        for name in FOLDERS
    }  # fmt: skip
    floors: list[set[str]] = []
    while rest := {name for name in FOLDERS if not any(name in floor for floor in floors)}:
        floor = {name for name in rest if not below[name] & rest}
        assert floor, f"a circle among {sorted(rest)}"
        floors.append(floor)
    assert floors[0] == {"base"}
    assert len(floors) <= 6, floors


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_what_it_does_and_names_known_settings(name: str) -> None:
    stage = STAGES[name].get("do", STAGES[name])
    assert stage["desc"]
    for key in stage.get("params", ()):
        section, _, inner = key.partition(".")
        field = Settings.model_fields[section].annotation
        assert not inner or inner in getattr(field, "model_fields", {})


def test_every_setting_makes_a_stage_run_again() -> None:
    stages = [each.get("do", each) for each in STAGES.values()]
    used = {key.split(".")[0] for each in stages for key in each.get("params", ())}
    # The competition is a file that stages depend on; the others say where, not what.
    aside = {"competition", "tracking", "compute", "kaggle"}
    assert set(Settings.model_fields) - used == aside
    assert all("competitions/${competition}.yaml" in each["deps"] for each in stages)


@cache
def importers(package: str) -> set[str]:
    return {
        module
        for module, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(a.name.split(".")[0] == package for a in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package)
    }  # fmt: skip


def test_only_tracking_imports_mlflow_and_no_stage_reaches_it() -> None:
    assert {folder(module) for module in importers("mlflow")} == {"tracking"}
    for stage in STAGES:
        assert not reached(stage) & importers("mlflow") - {"tracking.submissions"}, stage


def test_only_dealing_and_scoring_look_at_the_answers() -> None:
    deal = {module for module, path in modules().items() if "deal(" in path.read_text()}
    assert deal == {"data.embedded", "download", "data.leaderboard"}


def lines(node: ast.FunctionDef) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def test_a_module_has_250_lines_and_a_function_40_at_the_most() -> None:
    for module, path in modules().items():
        text = path.read_text()
        assert len(text.splitlines()) <= 250, module
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert lines(node) <= 40, f"{module}.{node.name}: {lines(node)}"
