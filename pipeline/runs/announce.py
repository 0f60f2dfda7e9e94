"""What a run tells its stages of itself, for its entry in MLflow: its name and what it changes."""

import json
import os

from pipeline.base.digests import sha256_json
from pipeline.base.paths import EXPERIMENT
from pipeline.base.settings import Settings
from pipeline.provenance.changes import changes
from pipeline.provenance.history import Result, current, next_name
from pipeline.provenance.revision import EXECUTION, code_sha256
from pipeline.provenance.snapshot import revision, snapshot
from pipeline.recipes.files import load_recipe

LONGEST = 100  # characters of a name in MLflow's list


def announce(settings: Settings) -> str:
    """Name the run for the stages that this process starts, as its code and settings are now.

    What is edited while it runs then does not make two of it.

    Returns:
        A snapshot of the project as the run begins.
    """
    name = EXPERIMENT or next_name()
    here = Result(name, snapshot(f"start of {name}"), "")
    base = _base()
    listed = changes(base, here) if base else []
    shown = f"{name}: {', '.join(settings.recipes)}"
    shown += f" ({settings.scope})" if settings.scope else ""
    shown += f"; {'; '.join(listed)}" if listed else ""
    if len(shown) > LONGEST:
        shown = shown[: LONGEST - 3] + "..."
    key = sha256_json([settings.deciding(), code_sha256(settings.recipes)])
    told = {"name": shown, "key": key, "note": _note(settings, name, base, listed)}
    os.environ[EXECUTION] = json.dumps(told)
    return here.commit


def _base() -> Result | None:
    """What the run is compared with: the result in place, or what an experiment began from."""
    if EXPERIMENT:
        head = revision("HEAD")
        return Result("the project", head, "") if head else None
    return current()


def _note(settings: Settings, name: str, base: Result | None, listed: list[str]) -> str:
    """A description in markdown."""
    lines = [f"**{name}**: {settings.preprocess.folds} folds of each recipe, blended."]
    if settings.scope:
        lines.append(f"This is a {settings.scope}: its scores say little about a whole run.")
    for recipe in settings.recipes:
        lines.append(f"- `{recipe}`: {load_recipe(recipe).description.strip()}")
    if base:
        lines.append(f"\nChanged against {base.name}:")
        lines += [f"- {each}" for each in listed or ["nothing"]]
    lines.append(f"\n`make take NAME={name}` puts this result in place; `make compare` lists all.")
    return "\n".join(lines)
