"""`make kaggle-train`: the folds trained on Kaggle's GPU, everything else here."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.paths import CACHE
from pipeline.base.settings import Settings, load_settings
from pipeline.data.arrays import load_data
from pipeline.health import check
from pipeline.kernels.bring import bring_folds
from pipeline.kernels.follow import fetch, forget, start, wait_for, write_script
from pipeline.kernels.pack import pack
from pipeline.kernels.tasks import tasks_of
from pipeline.training.cache import in_cache

HOURS = 11.0  # of the 12 that Kaggle gives a run


def main(
    dry: Annotated[bool, typer.Option(help="Write the script, and send nothing.")] = False,
    accelerator: Annotated[str, typer.Option(help="Kaggle's name of it.")] = "NvidiaTeslaT4",
) -> int:
    """Train the networks on Kaggle's GPU; then tune, blend and submission file here, as ever."""
    check.main()
    settings = load_settings()
    _check_competition(settings)
    from pipeline.provenance import dvc  # it takes seconds
    from pipeline.runs import repro

    code = dvc.reproduce([f"tune@{name}" for name in settings.recipes])
    if code:
        return code
    data = load_data()
    tasks = tasks_of(settings, data)
    missing = [task for task in tasks if not in_cache(task, data)]
    if not missing:
        say("all networks are trained already")
        return 0 if dry else repro.main()
    seconds = int(HOURS * 3600)
    script, digest = pack(settings, missing, seconds)
    if dry:
        folder = write_script(settings, script, "you/pipeline-folds")
        say(f"{folder / 'script.py'}: {len(script):,} characters; nothing was sent")
        return 0
    ref = start(settings, script, digest, accelerator, seconds + 1800)
    wait_for(settings, ref)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder_name:
        came = bring_folds(fetch(settings, ref, digest, Path(folder_name)), tasks, data)
    forget()
    say(f"{came} of {len(missing)} networks came from Kaggle")
    if came < len(missing):
        raise UserError(
            "some networks were not finished there; `make kaggle-train` trains the rest"
        )
    return repro.main()


def _check_competition(settings: Settings) -> None:
    competition = settings.competition
    if competition.embedded or not competition.slug:
        raise UserError(
            f"competition: {competition.name}: its data is not on Kaggle, where the networks would "
            "be trained; `competition: digit-recognizer-kaggle` in params.yaml is the real one"
        )
