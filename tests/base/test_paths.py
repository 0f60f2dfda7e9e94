"""Paths that are not ours to decide."""

from pathlib import Path

import pytest

from pipeline.base.paths import dvc_objects
from support.competition import git


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a .dvc, and DVC's system and user settings in folders of the test's own."""
    monkeypatch.chdir(tmp_path)
    for level in ("system", "global"):
        monkeypatch.setenv(f"DVC_{level.upper()}_CONFIG_DIR", str(tmp_path / level))
        (tmp_path / level).mkdir()
    return tmp_path


def test_the_cache_is_where_dvc_has_it(project: Path) -> None:
    from dvc.repo import Repo

    git("init", "-q")
    Repo.init()

    def agrees(folder: Path) -> bool:
        with Repo() as repo:
            asked = Path(repo.cache.local.path)
        return dvc_objects().resolve() == asked.resolve() == (folder / "files/md5").resolve()

    assert agrees(project / ".dvc/cache")
    for config, said, folder in (
        ("system/config", str(project / "one"), project / "one"),
        ("global/config", "two", project / "global/two"),
        (".dvc/config", "../three of it", project / "three of it"),
        (".dvc/config.local", str(project / "four"), project / "four"),
    ):
        (project / config).write_text(f"[cache]\n    dir = {said}\n")
        assert agrees(folder), config
