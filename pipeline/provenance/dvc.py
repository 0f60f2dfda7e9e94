"""What DVC knows: which stages are out of date, and whether this revision made a file."""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.base.digests import md5_file
from pipeline.base.errors import UserError, first_line
from pipeline.base.paths import dvc_object, dvc_objects
from pipeline.base.yaml_file import parse_yaml, read_yaml
from pipeline.provenance.inputs import outputs

LOCK = Path("dvc.lock")
LONGEST = 1 << 24  # bytes of dvc.lock, which DVC writes
HINT = "delete it and run `make repro`, which trains nothing twice"


def status() -> dict[str, Any] | None:
    """What `dvc status --json` says: the changes of each stage out of date; None if it fails."""
    # The call behind the command, which also saves the time that Python needs to start.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return dict(repo.status())
    except (DvcException, FileNotFoundError):  # a link into a cache that has lost its file
        return None


def pending() -> list[str]:
    """The stages that a run may have to run, in order: those out of date, and those after them.

    Raises:
        UserError: dvc.yaml or dvc.lock cannot be read.
    """
    check_lock()
    import networkx  # type: ignore[import-untyped]
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            stale, graph = set(repo.status()), repo.index.graph
            affected: list[str] = []
            for stage in networkx.dfs_postorder_nodes(graph):  # a stage after what it depends on
                before = [each.addressing for each in graph.successors(stage)]
                if stage.addressing in stale or set(before) & set(affected):
                    affected.append(stage.addressing)
            return affected
    except FileNotFoundError as error:  # a link into a cache that has lost its file
        raise UserError(
            f"{error.filename}: DVC's cache has it no more; delete it, `make repro` makes it again"
        ) from None
    except DvcException as error:
        hint = f"; {HINT}" if LOCK.name in str(error) else ""
        raise UserError(f"DVC: {first_line(error)}{hint}") from None


def _quiet() -> None:
    """Without DVC's own lines and bars: what goes wrong comes as an exception."""
    os.environ["TQDM_DISABLE"] = "1"
    logging.getLogger("dvc").setLevel(logging.CRITICAL)


def cache_folder() -> Path:
    """Where DVC keeps outputs, for another checkout to share."""
    from dvc.repo import Repo

    with Repo() as repo:
        return Path(repo.cache.local.path).resolve().parents[1]


def reproduce(targets: list[str] | None = None) -> int:
    """Run the stages that are out of date, as `dvc repro` does, without its closing advice.

    Args:
        targets: the last stages to run; all, if none are given.

    Returns:
        The exit code: 0, 130 after Ctrl-C, else 1; the stage that failed has said why.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage.exceptions import StageCmdFailedError

    _quiet()
    try:
        with Repo() as repo:
            repo.reproduce(targets)
    except DvcException as error:
        cause = error.__cause__
        if not isinstance(cause, StageCmdFailedError):
            raise UserError(f"DVC: {first_line(cause or error)}") from None
        return 130 if str(cause).endswith("exited with 130") else 1
    return 0


def absent(lock: bytes, recipes: Iterable[str]) -> list[str]:
    """The outputs that a dvc.lock names and DVC's cache lacks, in whole or in part.

    Args:
        lock: the file's content.
        recipes: those of its run.
    """
    stages, objects = parse_yaml(lock.decode()).get("stages", {}), dvc_objects()
    outs = [out for _, out in outputs(stages, recipes)]
    return [str(out["path"]) for out in outs if not _whole(objects, str(out.get("md5", "")))]


def _whole(objects: Path, md5: str) -> bool:
    """Whether DVC's cache has a file, or a folder's list and each file of it."""
    path = dvc_object(objects, md5)
    if not md5.endswith(".dir"):
        return path.exists()
    try:
        listed = json.loads(path.read_text())
        return all(dvc_object(objects, each["md5"]).exists() for each in listed)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def fetch(commit: str) -> None:
    """Bring the files of a commit from DVC's remote, if there is one: a colleague has pushed them.

    Raises:
        UserError: the remote does not answer.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    _quiet()
    try:
        with Repo() as repo:
            if repo.config["core"].get("remote"):
                repo.fetch(revs=[commit], workspace=False)
    except DvcException as error:
        raise UserError(f"DVC: {first_line(error)}") from None


def checkout() -> None:
    """Put the outputs that dvc.lock names in place, from DVC's cache.

    Raises:
        UserError: the cache does not have them all.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    _quiet()
    try:
        with Repo() as repo:
            repo.checkout(force=True)
    except DvcException as error:
        raise UserError(f"DVC: {first_line(error)}; `make repro` makes what is missing") from None


def stale_stages() -> list[str]:
    """The stages whose code, settings or files have changed since they ran; none if DVC fails.

    Raises:
        UserError: dvc.lock is not valid YAML, as after a merge.
    """
    check_lock()
    return sorted(status() or ()) if LOCK.exists() else []


def check_lock() -> None:
    """Check that dvc.lock, if there is one, can be read; a merge may have left its marks."""
    try:
        if LOCK.exists():
            read_yaml(LOCK, LONGEST)
    except UserError as error:
        raise UserError(f"{error}; {HINT}") from None


def made_by_this_project(path: Path) -> bool:
    """Whether the code and settings that are here made this very file.

    dvc.lock must name the file, and no stage may be out of date.
    """
    try:
        stages = read_yaml(LOCK, LONGEST).get("stages", {}).values()
    except UserError:
        return False
    made = any(
        out["path"] == path.as_posix() and out.get("md5") == md5_file(path)
        for stage in stages
        for out in stage.get("outs", [])
    )
    return made and status() == {}
