"""Stage: an Optuna study a recipe -> experiments/tune/<recipe>.yaml, the values worth taking.

A trial is judged by its out-of-fold accuracy on a slice of the training rows, at few epochs. The
best few are then trained as the recipe itself is, and taken only if they beat it.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from optuna.trial import FrozenTrial

from pipeline import plots_study, tracking
from pipeline.config import Settings, load_settings
from pipeline.confirm import candidates, confirm
from pipeline.console import duration, run_command, say
from pipeline.curves import CURVES
from pipeline.files import STUDIES, TUNED, remove_others, write_text
from pipeline.hardware import one_thread
from pipeline.models import check_recipe
from pipeline.recipe import load_recipe, recipe_path
from pipeline.scores import share_interval
from pipeline.stage import stage
from pipeline.study import Study, best_first, open_study, pruned
from pipeline.task import Data, load_data


def run_trials(settings: Settings, study: Study, run: str | None) -> None:
    """Go on with the study until it has `tune.trials` trials."""
    done = study.finished(settings.tune.trials)
    for number, earlier in enumerate(done):  # a kill may have come between a trial and its logging
        log_trial(settings, study, run, number, earlier)
    started = time.perf_counter()
    for number in range(len(done), settings.tune.trials):
        trial = study.run_trial(number)
        log_trial(settings, study, run, number, trial)
        spent = time.perf_counter() - started
        left = spent / (number - len(done) + 1) * (settings.tune.trials - number - 1)
        value = "" if trial.value is None or pruned(trial) else f" {trial.value:.4f}"
        shown = ", ".join(
            f"{key.split('.')[-1]} {_short(trial.params[key])}" for key in trial.params
        )
        say(
            f"{study.name}  trial {number + 1}/{settings.tune.trials}  {trial.state.name.lower()}"
            f"{value}  best {study.trials.best_value:.4f}  ({shown})  left {duration(left)}"
        )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def log_trial(
    settings: Settings, study: Study, parent: str | None, number: int, trial: FrozenTrial
) -> None:
    """Log a finished trial as a child of the study's run, and its folds as children of it."""
    key, curves = f"{study.key}/{number}", trial.user_attrs.get(CURVES, {})
    with tracking.run(
        settings,
        f"{study.name} trial {number + 1}",
        key=key,
        parent=parent,
        params={"trial": trial.params},
        tags={"state": trial.state.name},
    ) as run:
        for fold, curve in curves.items():
            name = f"{study.name} trial {number + 1} fold {int(fold) + 1}"
            with tracking.run(settings, name, key=f"{key}/{fold}", parent=run) as child:
                rows = [{"epoch": at, "val_accuracy": each} for at, each in enumerate(curve, 1)]
                tracking.log_history(child, rows)
                if int(fold) in trial.intermediate_values:
                    accuracy = trial.intermediate_values[int(fold)]
                    tracking.log_metrics(child, {"fold_accuracy": accuracy})
        metrics = {"seconds": trial.user_attrs.get("seconds", 0.0), "folds": len(curves)}
        if not pruned(trial) and trial.value is not None:
            metrics["accuracy"] = trial.value
        tracking.log_metrics(run, metrics)


def decide(settings: Settings, study: Study, trials: list[FrozenTrial]) -> dict[str, Any]:
    """What the recipe's YAML file is to say: the values that were taken, and why."""
    own = study.recipe.own_choices()
    best = best_first(trials)[0]
    confirmed = confirm(settings, study, candidates(settings, study, trials))
    better = [each for each in confirmed if each["beats"]]
    winner = max(better, key=lambda each: each["accuracy"], default=None)
    return {
        "values": winner["values"] if winner else {},
        "taken": winner is not None,
        "own": _score(study, own),
        "best": _score(study, best.params) | {"trial": trials.index(best) + 1},
        "confirmed": confirmed,
        "trials": len(trials),
        "pruned": sum(map(pruned, trials)),
        "seconds": round(sum(trial.user_attrs.get("seconds", 0.0) for trial in trials), 1),
        "rows": len(study.tasks[0].rows or ()),
        "epochs": study.tasks[0].epochs,
        "study": study.key,
        "first": study.first,
    }


def _score(study: Study, choices: dict[str, Any]) -> dict[str, Any]:
    right = study.correct(choices)
    low, high = share_interval(int(right.sum()), len(right))
    numbers = {"accuracy": float(right.mean()), "accuracy_low": low, "accuracy_high": high}
    return {name: round(value, 6) for name, value in numbers.items()} | {"choices": choices}


def tune(settings: Settings, name: str, data: Data, folder: Path) -> None:
    """Run the recipe's study, or go on with it; write its outcome and its pictures."""
    if not load_recipe(name).search or not settings.tune.trials:
        say(f"{name}: nothing to tune; the recipe's own values stand")
        _write(folder / f"{name}.yaml", {"values": {}, "taken": False})
        return
    long = folder == STUDIES
    study = open_study(settings, name, data, go_on=long)
    # A long study that goes on is logged anew; the stage's is linked to by its own key.
    key = f"{study.key}/{settings.tune.trials}" if long else study.key
    with tracking.run(settings, f"tune {name}", key=key) as run:
        run_trials(settings, study, run)
        trials = study.finished(None if long else settings.tune.trials)
        outcome = decide(settings, study, trials)
        _write(folder / f"{name}.yaml", outcome)
        for picture in plots_study.draw(trials, study.recipe.search, folder, name):
            tracking.log_file(run, picture)
        scores = {f"{which}_accuracy": outcome[which]["accuracy"] for which in ("own", "best")}
        counts = {each: outcome[each] for each in ("trials", "pruned", "seconds")}
        tracking.log_metrics(run, scores | counts)
    verdict = "tuned values are taken" if outcome["taken"] else "the recipe's own values stand"
    say(
        f"{name}: {verdict}: best of {outcome['trials']} trials {outcome['best']['accuracy']:.4f}, "
        f"the recipe's own {outcome['own']['accuracy']:.4f}; {len(outcome['confirmed'])} good "
        f"enough to be tried in full"
    )


def _write(path: Path, outcome: dict[str, Any]) -> None:
    write_text(path, yaml.safe_dump(outcome, sort_keys=False, allow_unicode=True))


def main(
    recipe: Annotated[str, typer.Option(help="One recipe alone; into experiments/studies.")] = "",
    trials: Annotated[int, typer.Option(help="In place of params.yaml's tune.trials.")] = 0,
) -> None:
    """Tune each recipe that has a search space; write the values worth taking."""
    settings = load_settings()
    names, folder = ((recipe,), STUDIES) if recipe else (settings.recipes, TUNED)
    if recipe:
        load_recipe(recipe)  # before its name becomes a file's
    if trials:
        settings = settings.model_copy(
            update={"tune": settings.tune.model_copy(update={"trials": trials})}
        )
    one_thread()  # as the train stage does, so that it need not train what is confirmed here again
    with stage(f"tune-{recipe}" if recipe else "tune"):
        data = load_data()
        for name in names:  # all, before the first one's minutes
            shape, classes = data.train_images.shape[1:], settings.competition.classes
            check_recipe(load_recipe(name), recipe_path(name), shape, classes)
        for name in names:
            tune(settings, name, data, folder)
        if not recipe:
            wanted = {f"{name}.yaml" for name in names}
            wanted |= {file for name in names for file in plots_study.names(name)}
            remove_others(TUNED, wanted)


if __name__ == "__main__":
    run_command(main)
