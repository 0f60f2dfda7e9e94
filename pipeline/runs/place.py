"""`make take` and `make back`: which result is in place; nothing is trained, nothing is lost."""

from datetime import UTC, datetime
from pathlib import Path

from pipeline.base.console import say, warn
from pipeline.base.files import replacing
from pipeline.base.paths import PARAMS, SCORES, SECONDS
from pipeline.provenance import dvc
from pipeline.provenance.history import LOCK, Result, current, in_place
from pipeline.provenance.revision import git
from pipeline.provenance.snapshot import REFS, need_git, snapshot


def put(found: Result) -> None:
    """Put a result's settings, recipes and files in place; what was there is kept as a commit."""
    need_git()
    now = current()
    if now is None or not in_place(now):
        kept = snapshot(f"before {found.name}")
        git("update-ref", f"{REFS}/kept/{datetime.now(UTC):%Y%m%dT%H%M%S.%f}", kept)
        say(f"what was in place is kept: `git show {kept[:10]}:params.yaml`")
    recipes = [Path(f"experiments/recipes/{name}.yaml") for name in found.recipes]
    for old in SECONDS.glob("*.json"):
        old.unlink()
    contents = {path: found.read(path) for path in (PARAMS, LOCK, SCORES, *recipes)}
    for path, content in (contents | found.stage_seconds).items():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    dvc.checkout()
    stale = dvc.pending()
    if stale:
        warn(
            f"code or recipes differ from those of {found.name}: `make repro` would run {stale[0]}"
        )
