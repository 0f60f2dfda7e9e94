"""Step 3: an Optuna study a recipe -> experiments/tune/<recipe>.yaml, the values worth taking.

A trial is scored by its out-of-fold accuracy on a slice of the training rows, at few epochs. The
best few are then trained as the recipe itself is, and taken only if they beat it.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from optuna.trial import FrozenTrial

from pipeline.base.console import duration, say
from pipeline.base.files import remove_others
from pipeline.base.paths import STUDIES, TUNED
from pipeline.base.settings import Settings, load_settings
from pipeline.data.arrays import Data, load_data
from pipeline.data.results import Score, Tuned
from pipeline.evaluation.scores import share_interval
from pipeline.network.models import check_recipe
from pipeline.provenance.stage import stage
from pipeline.recipes.files import load_recipe, recipe_path
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import Tracker
from pipeline.tuning import pictures
from pipeline.tuning.confirm import candidates, confirm
from pipeline.tuning.opening import open_study
from pipeline.tuning.pruning import CURVES
from pipeline.tuning.study import Study, best_first, pruned


def run_trials(study: Study, trials: int, run: Run) -> None:
    """Continue the study until it has `trials` trials."""
    done = study.finished(trials)
    for number, earlier in enumerate(done):  # a kill may have come between a trial and its logging
        log_trial(study, run, number, earlier)
    started = time.perf_counter()
    for number in range(len(done), trials):
        trial = study.run_trial(number)
        log_trial(study, run, number, trial)
        spent = time.perf_counter() - started
        left = spent / (number - len(done) + 1) * (trials - number - 1)
        value = "" if trial.value is None or pruned(trial) else f" {trial.value:.4f}"
        shown = ", ".join(
            f"{key.split('.')[-1]} {_short(trial.params[key])}" for key in trial.params
        )
        say(
            f"{study.name}  trial {number + 1}/{trials}  {trial.state.name.lower()}"
            f"{value}  best {study.optuna.best_value:.4f}  ({shown})  left {duration(left)}"
        )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def log_trial(study: Study, parent: Run, number: int, trial: FrozenTrial) -> None:
    """Log a finished trial as a child of the study's run, and its folds as children of it."""
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


def decide(settings: Settings, study: Study, trials: list[FrozenTrial]) -> Tuned:
    """The values to take, and why."""
    best = best_first(trials)[0]
    confirmed = confirm(settings, study, candidates(settings, study, trials))
    better = [each for each in confirmed if each.beats]
    winner = max(better, key=lambda each: each.accuracy, default=None)
    return Tuned(
        values=winner.values if winner else {},
        taken=winner is not None,
        own=_score(study, study.recipe.own_choices()),
        best=_score(study, best.params, trials.index(best) + 1),
        confirmed=confirmed,
        trials=len(trials),
        pruned=sum(map(pruned, trials)),
        seconds=round(sum(trial.user_attrs.get("seconds", 0.0) for trial in trials), 1),
        rows=len(study.tasks[0].rows or ()),
        epochs=study.tasks[0].epochs,
        study=study.key,
        first=study.first,
    )


def _score(study: Study, choices: dict[str, Any], trial: int | None = None) -> Score:
    right = study.correct(choices)
    low, high = (round(end, 6) for end in share_interval(int(right.sum()), len(right)))
    accuracy = round(float(right.mean()), 6)
    return Score(
        accuracy=accuracy, accuracy_low=low, accuracy_high=high, choices=choices, trial=trial
    )


def tune(settings: Settings, name: str, data: Data, folder: Path, tracker: Tracker) -> None:
    """Run the recipe's study, or continue it; write its outcome and its pictures."""
    if not load_recipe(name).search or not settings.tune.trials:
        say(f"{name}: nothing to tune; using the recipe's own values")
        Tuned().write(name, folder)
        return
    long, wanted = folder == STUDIES, settings.tune.trials
    with open_study(settings, name, data, resume=long) as study:
        # A long study that continues is logged again; the stage's is linked to by its own key.
        key = f"{study.key}/{wanted}" if long else study.key
        with tracker.run(f"tune {name}", key) as run:
            run_trials(study, wanted, run)
            trials = study.finished(None if long else wanted)
            outcome = decide(settings, study, trials)
            outcome.write(name, folder)
            for picture in pictures.draw(trials, study.recipe.search, folder, name):
                run.log_file(picture)
            log_outcome(run, name, outcome)


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


def main(
    recipe: Annotated[str, typer.Option(help="One recipe, into experiments/studies.")] = "",
    trials: Annotated[int, typer.Option(help="Instead of params.yaml's tune.trials.")] = 0,
) -> None:
    """Tune each recipe that has a search space; write the values worth taking."""
    settings = load_settings()
    names, folder = ((recipe,), STUDIES) if recipe else (settings.recipes, TUNED)
    if recipe:
        load_recipe(recipe)  # before its name becomes a file's
    if trials:
        settings = settings.changed(tune={"trials": trials})
    with stage(f"tune-{recipe}" if recipe else "tune"):
        data, tracker = load_data(), Tracker(settings)
        for name in names:  # all, before the minutes of the first
            shape, classes = data.train_images.shape[1:], settings.competition.classes
            check_recipe(load_recipe(name), recipe_path(name), shape, classes)
        for name in names:
            tune(settings, name, data, folder, tracker)
        if not recipe:
            wanted = {f"{name}.yaml" for name in names}
            wanted |= {file for name in names for file in pictures.names(name)}
            remove_others(TUNED, wanted)
