"""Stage: an Optuna study a recipe -> experiments/tune/<recipe>.yaml, the values worth taking.

A trial is judged by its out-of-fold accuracy on a slice of the training rows, at few epochs. The
best few are then trained as the recipe itself is, and taken only if they beat it.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml
from optuna.trial import FrozenTrial, TrialState

from pipeline import plots_study, tracking
from pipeline.compute import run_tasks
from pipeline.config import Settings, load_settings
from pipeline.console import duration, run_command, say
from pipeline.curves import CURVES
from pipeline.files import STUDIES, TUNED, remove_others, write_text
from pipeline.folds import Progress, fold_tasks
from pipeline.models import check_recipe
from pipeline.recipe import load_recipe, recipe_path, with_values
from pipeline.scores import paired_p_value, share_interval
from pipeline.stage import stage
from pipeline.study import Study, open_study
from pipeline.task import Data, load_data
from pipeline.tuned import choosing_rows

# The chance, over all values that were tried in full, of taking some that are no better.
SIGNIFICANCE = 0.05


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


def pruned(trial: FrozenTrial) -> bool:
    """Whether a trial was ended before its last fold."""
    return trial.state == TrialState.PRUNED


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


def confirm(
    settings: Settings, study: Study, candidates: list[FrozenTrial]
) -> list[dict[str, Any]]:
    """Train each candidate as the recipe itself is trained, and compare the two, row by row.

    They are compared on half of the train rows, the half that trials are judged on a slice of: the
    other half is left to judge what is taken. One that is not ahead after a fold is given up.
    """
    labels, folds = study.data.train_labels, study.data.folds
    half = np.zeros(len(labels), dtype=bool)
    half[choosing_rows(settings, labels, folds)] = True
    once = settings.model_copy(update={"train": settings.train.model_copy(update={"repeats": 1})})
    own = fold_tasks(once, study.name, study.recipe.model_copy(update={"search": {}}))
    outcomes = []
    for trial in candidates:
        say(f"{study.name}: confirming trial {trial.number + 1} at full length")
        values = study.recipe.values(trial.params)
        changed = with_values(study.recipe, values, recipe_path(study.name))
        mine = fold_tasks(once, study.name, changed)
        right = np.zeros((2, len(labels)), dtype=bool)
        judged = np.zeros(len(labels), dtype=bool)
        for pair in zip(own, mine, strict=True):
            for which, task in enumerate(pair):
                (result,) = run_tasks([task], study.data, Progress(study.name, [task]))
                hits = result.probabilities.argmax(axis=1) == labels[result.held_out]
                right[which, result.held_out] = hits
                judged[result.held_out] = True
            rows = half & judged
            if right[1, rows].sum() <= right[0, rows].sum():
                break
        p_value = min(1.0, len(candidates) * paired_p_value(right[1, rows], right[0, rows]))
        outcomes.append(
            {
                "trial": trial.number + 1,
                "values": values,
                "accuracy": round(float(right[1, rows].mean()), 6),
                "own_accuracy": round(float(right[0, rows].mean()), 6),
                "rows": int(rows.sum()),
                "p_value": round(p_value, 6),
                "beats": bool(p_value < SIGNIFICANCE and judged.all()),
            }
        )
    return outcomes


def candidates(settings: Settings, study: Study, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The best `tune.confirm` trials that did better than the recipe's own, and not by mere luck.

    Luck: McNemar's test on the slice, at 5% each. It only saves the time of trials that are plainly
    no better; what decides is `confirm`.
    """
    own = study.correct(study.recipe.own_choices())
    complete = [trial for trial in trials if not pruned(trial)]
    complete.sort(key=lambda trial: -(trial.value or 0.0))
    return [
        trial
        for trial in complete[: settings.tune.confirm]
        if paired_p_value(study.correct(trial.params), own) < SIGNIFICANCE
    ]


def decide(settings: Settings, study: Study, trials: list[FrozenTrial]) -> dict[str, Any]:
    """What the recipe's YAML file is to say: the values that were taken, and why."""
    own = study.recipe.own_choices()
    complete = [trial for trial in trials if not pruned(trial)]
    best = max(complete, key=lambda trial: trial.value or 0.0)
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
    study = open_study(settings, name, data)
    with tracking.run(settings, f"tune {name}", key=study.key) as run:
        run_trials(settings, study, run)
        trials = study.finished(settings.tune.trials)
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
    if trials:
        settings = settings.model_copy(
            update={"tune": settings.tune.model_copy(update={"trials": trials})}
        )
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
