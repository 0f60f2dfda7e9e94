"""`make take` and `make back`: which result is in place; nothing is trained, nothing is lost."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from pipeline.base.console import say, warn
from pipeline.base.errors import UserError
from pipeline.base.files import replacing
from pipeline.base.locks import locked
from pipeline.base.paths import EXPERIMENT, FOR_DVC, PARAMS, SCORES, SECONDS
from pipeline.provenance import dvc
from pipeline.provenance.history import Result, current, differ
from pipeline.provenance.revision import git
from pipeline.provenance.snapshot import REFS, need_git, snapshot
from pipeline.recipes.files import recipe_path

KEPT = ("params.yaml", "competitions/", "experiments/")  # what a user edits


@contextmanager
def alone() -> Iterator[None]:
    """Hold the project, or the experiment's folder: one run, take or back at a time."""
    with locked(f"runs/{EXPERIMENT or 'project'}", "changing what is in place"):
        yield


def put(found: Result) -> None:
    """Put a result's settings, recipes and files in place; what was there is kept as a commit.

    Raises:
        UserError: the result lacks a file, here or in DVC's cache; nothing is changed.
    """
    need_git()
    written = (PARAMS, dvc.LOCK, SCORES, found.competition, *map(recipe_path, found.recipes))
    contents = {path: found.read(path) for path in written} | found.stage_seconds
    with suppress(UserError):  # a result of an older version has none
        contents[FOR_DVC] = found.read(FOR_DVC)
    _bring(found, contents[dvc.LOCK])
    _keep(f"before {found.name}")
    for old in SECONDS.glob("*.json"):
        old.unlink()
    for path, content in contents.items():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    dvc.checkout()
    stale = dvc.pending()
    if stale:
        warn(f"the code differs from that of {found.name}: `make repro` would run {stale[0]}")


def _bring(found: Result, lock: bytes) -> None:
    """See that DVC's cache has all files of a result, or bring them from DVC's remote."""

    def lacking() -> list[str]:
        return [path for path in dvc.absent(lock, found.recipes) if not _in_git(found, path)]

    if lacking():
        dvc.fetch(found.commit)
    if missing := lacking():
        recipes = map(recipe_path, found.recipes)
        edited = " ".join(map(str, [PARAMS, found.competition, *recipes]))
        raise UserError(
            f"DVC's cache no longer has {missing[0]} of {found.name} (`dvc gc` removes what is not "
            f"in place); nothing was changed. `git restore --source={found.commit[:10]} {edited}` "
            f"and `make repro` make it again"
        )


def _in_git(found: Result, path: str) -> bool:
    try:
        return bool(found.read(path))
    except UserError:
        return False


def _keep(message: str) -> None:
    """Keep what is here as a commit, unless it is the result in place."""
    now, here = current(), snapshot(message)
    if now is None or differ(now.commit, here):
        git("update-ref", f"{REFS}/kept/{datetime.now(UTC):%Y%m%dT%H%M%S.%f}", here)
        edited = git("diff", "--name-only", "--relative", now.commit if now else "HEAD", here)
        names = [each for each in edited.split() if each.startswith(KEPT)]
        if names:
            files = " ".join(names)
            say(f"your edits are kept: `git restore --source={here[:10]} {files}` brings them back")
