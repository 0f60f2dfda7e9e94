"""Step 3: an Optuna study a recipe -> experiments/tune/<recipe>.yaml, the values worth taking.

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
from pipeline.data.arrays import Data, load_data
from pipeline.data.results import Tuned
from pipeline.provenance.stage import stage
from pipeline.recipes.files import load_recipe, recipe_path
from pipeline.recipes.recipe import Recipe
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
            metrics["accuracy"] = trial.value
        run.log_metrics(metrics)


def tune(settings: Settings, name: str, data: Data, folder: Path, tracker: Tracker) -> list[Path]:
    """Run the recipe's study, or continue it; write its outcome and its pictures, returned."""
    from pipeline.tuning import pictures
    from pipeline.tuning.opening import open_study
    from pipeline.tuning.trials import decide, run_trials

    long, wanted = folder == STUDIES, settings.tune.trials
    with open_study(settings, name, data, resume=long) as study:
        # A long study that continues is logged again; the stage's is linked to by its own key.
        key = f"{study.key}/{wanted}" if long else study.key
        with tracker.run(f"tune {name}", key) as run:
            run_trials(study, wanted, partial(log_trial, study, run))
            trials = study.finished(None if long else wanted)
            outcome = decide(settings, study, trials)
            outcome.write(name, folder)
            drawn = pictures.draw(trials, study.recipe.search, folder, name)
            for picture in drawn:
                run.log_file(picture)
            log_outcome(run, name, outcome)
    return drawn


def log_outcome(run: Run, name: str, outcome: Tuned) -> None:
    """Log what the study found, and say it."""
    if not (outcome.own and outcome.best):
        return
    own, best = outcome.own.accuracy, outcome.best.accuracy
    counts = {"trials": outcome.trials, "pruned": outcome.pruned, "seconds": outcome.seconds}
    run.log_metrics({"own_accuracy": own, "best_accuracy": best} | counts)
    verdict = "using tuned values" if outcome.taken else "using the recipe's own values"
    say(
        f"{name}: {verdict}: best of {outcome.trials} trials {best:.4f}, the recipe's own "
        f"{own:.4f}; {len(outcome.confirmed)} trials were retrained at full length"
    )


def tune_all(settings: Settings, recipes: dict[str, Recipe], folder: Path) -> set[str]:
    """Tune the recipes one after the other; each is tried before the minutes of the first.

    Returns:
        The names of the pictures drawn.
    """
    from pipeline.network.models import check_recipe

    data, tracker = load_data(), Tracker(settings)
    shape, classes = data.train_images.shape[1:], settings.competition.classes
    for name, recipe in recipes.items():
        check_recipe(recipe, recipe_path(name), shape, classes)
    return {
        picture.name for name in recipes for picture in tune(settings, name, data, folder, tracker)
    }


def main(
    recipe: Annotated[str, typer.Option(help="One recipe, into experiments/studies.")] = "",
    trials: Annotated[int, typer.Option(help="Instead of params.yaml's tune.trials.")] = 0,
) -> None:
    """Tune each recipe that has a search space; write the values worth taking."""
    settings = load_settings()
    names, folder = ((recipe,), STUDIES) if recipe else (settings.recipes, TUNED)
    recipes = {name: load_recipe(name) for name in names}  # before a name becomes a file's
    if trials:
        settings = settings.changed(tune={"trials": trials})
    tuned = [name for name in names if recipes[name].search and settings.tune.trials]
    with stage(f"tune-{recipe}" if recipe else "tune"):
        for name in sorted({*names} - {*tuned}):
            say(f"{name}: nothing to tune; using the recipe's own values")
            Tuned().write(name, folder)
        drawn: set[str] = set()
        if tuned:
            drawn = tune_all(settings, {name: recipes[name] for name in tuned}, folder)
        if not recipe:
            remove_others(TUNED, {f"{name}.yaml" for name in names} | drawn)
