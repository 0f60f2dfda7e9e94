"""What DVC knows: which stages are out of date, and whether this revision made a file."""

import subprocess
from pathlib import Path
from typing import Any

from pipeline.base.digests import md5_file
from pipeline.base.errors import UserError
from pipeline.base.yaml_file import read_yaml
from pipeline.provenance.revision import git

LOCK = Path("dvc.lock")
LONGEST = 1 << 24  # bytes of dvc.lock, which DVC writes


def status() -> dict[str, Any] | None:
    """What `dvc status --json` says: the changes of each stage out of date; None if it fails."""
    # The call behind the command, which also saves the time that Python needs to start.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return dict(repo.status())
    except DvcException:
        return None


def stale_stages() -> list[str]:
    """The stages whose code, settings or files have changed since they ran; none if DVC fails.

    Raises:
        UserError: dvc.lock is not valid YAML, as after a merge.
    """
    if not LOCK.exists():
        return []
    read_yaml(LOCK, LONGEST)
    return sorted(status() or ())


def made_by_head(path: Path) -> bool:
    """Whether the revision checked out made this very file.

    Its dvc.lock must be the one here and name the file, and no stage may be out of date.
    """
    try:
        git("cat-file", "-e", f"HEAD:./{LOCK}")
        git("diff", "--quiet", "HEAD", "--", str(LOCK))
        stages = read_yaml(LOCK, LONGEST).get("stages", {}).values()
    except (OSError, subprocess.CalledProcessError, UserError):
        return False
    made = any(
        out["path"] == path.as_posix() and out.get("md5") == md5_file(path)
        for stage in stages
        for out in stage.get("outs", [])
    )
    return made and status() == {}
