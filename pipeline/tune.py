"""Step 3, one a recipe: an Optuna study -> experiments/tune/<recipe>.yaml, values worth taking.

A trial is scored by its out-of-fold accuracy on a slice of the training rows, at few epochs. The
best few are then trained as the recipe itself is, and taken only if they beat it. TensorFlow and
Optuna are imported where there is something to tune: they take seconds.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.base.console import say
from pipeline.base.files import remove_others
from pipeline.base.paths import STUDIES, TUNED
from pipeline.base.settings import Settings, load_settings
from pipeline.data.arrays import load_data
from pipeline.data.results import Tuned
from pipeline.provenance.stage import stage
from pipeline.recipes.files import load_recipe, recipe_path
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import Tracker

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from pipeline.tuning.study import Study


def log_trial(study: "Study", parent: Run, number: int, trial: "FrozenTrial") -> None:
    """Log a finished trial as a child of the study's run, and its folds as children of it."""
    from pipeline.tuning.pruning import CURVES
    from pipeline.tuning.study import pruned

    key, curves = f"{study.key}/{number}", trial.user_attrs.get(CURVES, {})
    name, tags = f"{study.name} trial {number + 1}", {"state": trial.state.name}
    with parent.child(name, key, params={"trial": trial.params}, tags=tags) as run:
        for fold, curve in curves.items():
            held_out = f"fold{int(fold) + 1}_val_accuracy"
            run.log_history([{"epoch": at, held_out: each} for at, each in enumerate(curve, 1)])
        metrics = {"seconds": trial.user_attrs.get("seconds", 0.0), "folds": len(curves)}
        if not pruned(trial) and trial.value is not None:
            metrics[study.metric.name] = trial.value
        run.log_metrics(metrics)


def tune(settings: Settings, name: str, folder: Path) -> list[Path]:
    """Run the recipe's study, or continue it; write its outcome and its pictures, returned."""
    from pipeline.network.models import check_recipe
    from pipeline.training.engines import engine
    from pipeline.training.progress import later_seconds
    from pipeline.tuning import pictures
    from pipeline.tuning.opening import open_study
    from pipeline.tuning.trials import decide, run_trials

    long, wanted, data = folder == STUDIES, settings.tune.trials, load_data()
    shape, classes = data.train_images.shape[1:], len(data.classes)
    check_recipe(load_recipe(name), recipe_path(name), shape, classes)  # before minutes of trials
    with engine(settings) as team, open_study(settings, name, data, resume=long) as study:
        # A long study that continues is logged again; the stage's is linked to by its own key.
        key = f"{study.key}/{wanted}" if long else study.key
        with Tracker(settings).run(f"tune {name}", key) as run:
            log, later = partial(log_trial, study, run), later_seconds(f"tune@{name}")
            run_trials(settings, study, team, log, later)
            trials = study.finished(None if long else wanted)
            outcome = decide(settings, study, team, trials)
            outcome.write(name, folder)
            drawn = pictures.draw(trials, study.recipe.search, folder / name, study.metric)
            for picture in drawn:
                run.log_file(picture)
            log_outcome(run, name, outcome)
    return drawn


def log_outcome(run: Run, name: str, outcome: Tuned) -> None:
    """Log what the study found, and say it."""
    if not (outcome.own and outcome.best):
        return
    own, best = outcome.own.score, outcome.best.score
    counts = {"trials": outcome.trials, "pruned": outcome.pruned, "seconds": outcome.seconds}
    run.log_metrics({"own_score": own, "best_score": best} | counts)
    verdict = "using tuned values" if outcome.taken else "using the recipe's own values"
    say(
        f"{name}: {verdict}: best of {outcome.trials} trials {best:.4f}, the recipe's own "
        f"{own:.4f}; {len(outcome.confirmed)} trials were retrained at full length"
    )


def main(
    recipe: Annotated[str, typer.Argument(help="A name in experiments/recipes/.")],
    study: Annotated[
        bool, typer.Option("--study", help="A long study, kept in experiments/studies.")
    ] = False,
    trials: Annotated[int, typer.Option(help="Instead of params.yaml's tune.trials.")] = 0,
) -> None:
    """Tune a recipe, if it has a search space; write the values worth taking."""
    settings, folder = load_settings(), STUDIES if study else TUNED
    found = load_recipe(recipe)  # before its name becomes a file's
    if trials:
        settings = settings.changed(tune={"trials": trials})
    with stage(f"study-{recipe}" if study else f"tune-{recipe}"):
        pictures = folder / recipe
        pictures.mkdir(parents=True, exist_ok=True)
        drawn: list[Path] = []
        if found.search and settings.tune.trials:
            drawn = tune(settings, recipe, folder)
        else:
            say(f"{recipe}: nothing to tune; using the recipe's own values")
            Tuned().write(recipe, folder)
        remove_others(pictures, {picture.name for picture in drawn})
