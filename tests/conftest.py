"""Fixtures for every folder of tests; none of them imports TensorFlow."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from pipeline.provenance.revision import EXECUTION
from support.project import (
    REPOSITORY,
    TINY,
    blend_and_submit,
    small_params,
    write_arrays,
    write_project,
    write_trained,
    write_yaml,
)

# The machine may be busy: no test depends on the time that something takes.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-docs", action="store_true", help="write what tests check in docs/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the whole pipeline, the longest; the other worker does the rest meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture
def check_page(request: pytest.FixtureRequest) -> Callable[[Path, list[str]], None]:
    """Compare a page with the lines that a test made of what it saw; `make test-docs` writes it."""

    def check(path: Path, lines: list[str]) -> None:
        text = "\n".join(lines) + "\n"
        if request.config.getoption("--write-docs"):
            path.write_text(text)
        hint = f"{path.relative_to(REPOSITORY)} is not what was seen; `make test-docs` writes it"
        assert path.read_text() == text, hint

    return check


@pytest.fixture
def params() -> dict[str, Any]:
    return small_params()


def _forget_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what a run sets for its stages: a test before may have announced one."""
    for name in ("DVC_ROOT", EXECUTION):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]) -> Path:
    """An empty project with the tiny recipe, as the working directory."""
    monkeypatch.chdir(tmp_path)
    _forget_runs(monkeypatch)
    write_project(tmp_path, params)
    return tmp_path


@pytest.fixture
def arrays(project: Path) -> Path:
    """The project with data/arrays made, of 200 train and 50 test digits."""
    write_arrays(project / "data/arrays")
    return project


@pytest.fixture
def mnist(project: Path) -> Path:
    """The project with the embedded digits."""
    (project / "data").mkdir(exist_ok=True)
    shutil.copy(REPOSITORY / "data/mnist.npz", project / "data/mnist.npz")
    return project


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after a run of two recipes, `tiny` and `other`, with made-up predictions."""
    folder = tmp_path_factory.mktemp("finished")
    write_project(folder, small_params(recipes=["tiny", "other"]))
    write_yaml(folder / "experiments/recipes/other.yaml", TINY | {"description": "Another."})
    write_arrays(folder / "data/arrays")
    for seed, name in enumerate(("tiny", "other")):
        write_trained(folder, name, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        blend_and_submit()
    return folder


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project, as the working directory."""
    shutil.copytree(finished_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    _forget_runs(monkeypatch)
    return tmp_path
