"""The stand-in of Kaggle's service, and the page that lists its faults."""

from collections.abc import Iterator

import pytest

from support.kaggle_project import kaggle
from support.project import REPOSITORY
from support.snapshot import Snapshot

__all__ = ["kaggle", "seen"]


@pytest.fixture(scope="session")
def seen(request: pytest.FixtureRequest) -> Iterator[Snapshot]:
    """docs/kaggle.md: what each fault leads to."""
    snapshot = Snapshot(REPOSITORY / "docs/kaggle.md", request.config.getoption("--write-docs"))
    yield snapshot
    snapshot.close()
