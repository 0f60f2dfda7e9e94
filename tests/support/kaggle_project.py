"""A project whose competition is on the stand-in of Kaggle's service, as a fixture."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.kaggle import submissions
from support.competition import TEST, TRAIN, competition_files
from support.kaggle_server import Kaggle, Server
from support.project import REPOSITORY, write_competition, write_yaml


@pytest.fixture
def kaggle(
    project: Path, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kaggle]:
    """The service, and a project whose competition is on it, with a user's environment."""
    images = {"kind": "rows", "shape": [2, 2, 1]}
    rows = {"train": TRAIN, "test": TEST}
    write_competition(project, source="kaggle", images=images, rows=rows)
    params["kaggle"] = {"timeout": 20, "attempts": 3}
    write_yaml(project / "params.yaml", params)
    monkeypatch.setattr(submissions, "POLL", 0.2)
    with Server(competition_files()) as service:
        for name in os.environ:
            if name.startswith("KAGGLE_") or name.lower().endswith("_proxy"):
                monkeypatch.delenv(name)
        for name, value in service.environment(project / "home").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
        yield service
