"""data/raw: filled from a source, complete or not at all; never over a user's own files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.base.competition import Competition, competition_path
from pipeline.base.console import say
from pipeline.base.digests import md5_file
from pipeline.base.errors import UserError
from pipeline.base.files import refilling, write_json
from pipeline.base.paths import CACHE, RAW, ROOT, dvc_object, dvc_objects
from pipeline.data.layouts.collect import collect
from pipeline.data.layouts.tree import HIDDEN, Tree

WRITTEN = CACHE / "raw.json"  # the files that this project has written to data/raw, by their MD5
UNFINISHED = ".download-"


@contextmanager
def fill(competition: Competition) -> Iterator[Path]:
    """Yield an empty folder; what it then holds becomes data/raw, if the block succeeds.

    Raises:
        UserError: data/raw has a file that this project has not written.
    """
    refuse_strangers(competition)
    with refilling(RAW, UNFINISHED) as folder:
        yield folder
        made = {path.name: md5_file(path) for path in sorted(folder.iterdir())}
        write_json(WRITTEN, _written() | {md5: name for name, md5 in made.items()})


def _written() -> dict[str, str]:
    try:
        return dict(json.loads(WRITTEN.read_text()))
    except (OSError, ValueError):
        return {}


def refuse_strangers(competition: Competition) -> None:
    """Refuse to replace a file that somebody else put into data/raw.

    Raises:
        UserError: there is one; it says what to do.
    """
    known, objects = _written(), dvc_objects()
    for path in sorted(RAW.iterdir()) if RAW.is_dir() else ():
        if path.name in HIDDEN or path.name.startswith(UNFINISHED):
            continue
        if path.is_dir():
            raise UserError(f"{path} is not of this project: move it away")
        md5 = md5_file(path)
        pulled = dvc_object(objects, md5).exists()
        if md5 not in known and not pulled:
            raise UserError(
                f"{path} was not written by this project and would be replaced: move your files to "
                f"a folder of their own, and name it in {competition_path(competition.name)}: "
                f"`source: that/folder`; or delete it"
            )


def from_path(competition: Competition) -> None:
    """Copy the competition's files out of a user's own folder or zip, which is only read.

    Raises:
        UserError: there is no such folder or zip, or the files are not as described.
    """
    where = competition_path(competition.name)
    path = Path(competition.source).expanduser()
    path = path if path.is_absolute() else ROOT / path
    if not path.exists():
        hint = "give embedded, kaggle, or the path of a folder or zip"
        raise UserError(f"{where}: source: {competition.source}: there is no such file; {hint}")
    if path.resolve() == RAW.resolve() or RAW.resolve() in path.resolve().parents:
        raise UserError(f"{where}: source: {path} is written by this project; take another folder")
    with Tree(path) as tree, fill(competition) as folder:
        collect(tree, competition, folder)
    say(f"copied the files of {competition.name} from {competition.source} to {RAW}/")
