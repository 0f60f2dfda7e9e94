"""What an experiment's folder shares with the project, by path: git's objects, DVC's cache."""

from pathlib import Path

from pipeline.base.files import write_text
from pipeline.provenance.dvc import cache_folder
from pipeline.provenance.revision import git

ALTERNATES = Path(".git/objects/info/alternates")
CONFIG = Path(".dvc/config.local")


def link_objects(folder: Path) -> None:
    """Let the folder's repository read the commits of the project's own; nothing is copied."""
    objects = Path(git("rev-parse", "--git-path", "objects"))
    _write(folder / ALTERNATES, f"{objects.resolve()}\n")


def link_cache(project: Path) -> None:
    """Let the folder's DVC use the project's cache."""
    cache = f'[cache]\n    dir = "{cache_folder()}"\n    type = "reflink,hardlink,copy"\n'
    _write(project / CONFIG, cache)


def _write(path: Path, text: str) -> None:
    """Write, if it is not so already: the project may have been moved since."""
    if not path.exists() or path.read_text() != text:
        write_text(path, text)
