"""Stage: an Optuna study a recipe -> experiments/tune/<recipe>.yaml, the values worth taking.

A trial is judged by its out-of-fold accuracy on a slice of the training rows, fold after fold. A
study is kept in experiments/cache, so a killed one goes on; so are its trials' folds.
"""

import time
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import WilcoxonPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline import tracking
from pipeline.compute import run_tasks
from pipeline.config import Settings, load_settings
from pipeline.console import duration, run_command, say
from pipeline.files import CACHE, remove_others, sha256_json, write_text
from pipeline.hardware import resolve_precision
from pipeline.models import check_recipe
from pipeline.recipe import TUNED, Recipe, load_recipe, recipe_path, value_at, with_values
from pipeline.scores import paired_p_value
from pipeline.stage import stage
from pipeline.task import Data, Task, fingerprint, load_data
from pipeline.tuned import tuning_rows

# The chance, over all trials of a study together, of taking values that are no better.
SIGNIFICANCE = 0.05
# Wilcoxon's test of a few folds cannot reach small p values: with five, none under 0.0625. At this
# one a trial that loses each of its first three folds to the best trial is pruned.
PRUNE_P = 0.13


@dataclass(frozen=True)
class Study:
    """A recipe's study: Optuna's own, and what a trial needs."""

    recipe: Recipe
    tasks: list[Task]  # of the recipe's own values, one a fold
    data: Data
    trials: optuna.Study
    key: str

    @property
    def space(self) -> dict[str, BaseDistribution]:
        """What the recipe says may be tried, in Optuna's classes."""
        return {key: search.distribution() for key, search in self.recipe.search.items()}

    def correct(self, values: dict[str, Any], trial: Trial | None = None) -> np.ndarray:
        """Whether each row of the slice, held out, was labelled right; bool (rows,).

        Raises:
            optuna.TrialPruned: `trial` is given, and is not worth going on with.
        """
        name = self.tasks[0].name
        recipe = with_values(self.recipe, values, recipe_path(name))
        tasks = [replace(task, recipe=recipe) for task in self.tasks]
        right = np.zeros(len(self.data.train_labels), dtype=bool)
        for task, result in zip(tasks, run_tasks(tasks, self.data), strict=True):
            labels = self.data.train_labels[result.held_out]
            hits = result.probabilities.argmax(axis=1) == labels
            right[result.held_out] = hits
            if trial:
                say(
                    f"{name}  trial {trial.number + 1}  fold {task.fold + 1}/{len(tasks)}"
                    f"  accuracy {hits.mean():.4f}  {result.seconds:.1f} s"
                )
                trial.report(float(hits.mean()), step=task.fold)
                if task is not tasks[-1] and trial.should_prune():
                    raise optuna.TrialPruned
        return right[np.array(task.rows)]


def open_study(settings: Settings, name: str, data: Data) -> Study:
    """Open the recipe's study, with the trials it has; put back what a kill left running."""
    recipe = load_recipe(name)
    rows = tuning_rows(settings, data.train_labels, data.folds)
    tasks = [
        Task(
            name=name,
            recipe=recipe,
            classes=settings.competition.classes,
            epochs=settings.tune.epochs or recipe.epochs,
            precision=resolve_precision(settings.train.precision),
            seed=settings.seed,
            fold=fold,
            rows=tuple(rows.tolist()),
            test=False,
        )
        for fold in range(settings.preprocess.folds)
    ]
    space = {key: search.model_dump() for key, search in recipe.search.items()}
    key = sha256_json([space, *(fingerprint(task, data) for task in tasks)])[:24]
    path = CACHE / "tune" / f"{name}-{key}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        pruner = WilcoxonPruner(p_threshold=PRUNE_P, n_startup_steps=2)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=name,
        direction="maximize",
        pruner=pruner,
        load_if_exists=True,
    )
    # Put back nothing that a kill left running: a trial's draws come from its number, so the next
    # trial is that one again, and what it had finished is in the cache.
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    if not study.get_trials(states=(TrialState.COMPLETE, TrialState.WAITING)):
        study.enqueue_trial(own_values(recipe))
    return Study(recipe, tasks, data, study, key)


def own_values(recipe: Recipe) -> dict[str, Any]:
    """What the recipe itself says for the values that are searched."""
    plain = recipe.model_dump()
    return {key: value_at(plain, key) for key in recipe.search}


def finished(study: Study, limit: int) -> list[FrozenTrial]:
    """The first `limit` trials that ran to their end, or were pruned."""
    return study.trials.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))[:limit]


def run_trials(settings: Settings, study: Study, run_id: str | None) -> None:
    """Go on with the study until it has `tune.trials` trials."""
    done = finished(study, settings.tune.trials)
    for earlier in done:  # a kill may have come between a trial and its logging
        log_trial(settings, study, run_id, earlier)
    started, before = time.perf_counter(), len(done)
    for number in range(before, settings.tune.trials):
        # Seeded by the trial, not by the process: a study that was killed and gone on with draws
        # what an undisturbed one would.
        study.trials.sampler = TPESampler(seed=settings.seed * 100_003 + number)
        trial = study.trials.ask(study.space)
        try:
            value = float(study.correct(trial.params, trial).mean())
            study.trials.tell(trial, value)
        except optuna.TrialPruned:
            study.trials.tell(trial, state=TrialState.PRUNED)
        frozen = study.trials.trials[trial.number]
        log_trial(settings, study, run_id, frozen)
        spent = time.perf_counter() - started
        left = spent / (number - before + 1) * (settings.tune.trials - number - 1)
        shown = ", ".join(
            f"{key.split('.')[-1]} {_short(value)}" for key, value in frozen.params.items()
        )
        outcome = f"accuracy {frozen.value:.4f}" if frozen.state.name == "COMPLETE" else "pruned"
        say(
            f"{study.tasks[0].name}  trial {number + 1}/{settings.tune.trials}  {outcome}"
            f"  best {study.trials.best_value:.4f}  ({shown})  left {duration(left)}"
        )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def log_trial(settings: Settings, study: Study, parent: str | None, trial: FrozenTrial) -> None:
    """Log a finished trial as a child of the study's run."""
    with tracking.run(
        settings,
        f"{study.tasks[0].name} trial {trial.number}",
        key=f"{study.key}/{trial.number}",
        parent=parent,
        params={"trial": trial.params},
        tags={"state": trial.state.name},
    ) as run_id:
        folds = trial.intermediate_values
        tracking.log_history(
            run_id, [{"epoch": fold, "fold_accuracy": folds[fold]} for fold in sorted(folds)]
        )
        tracking.log_metrics(run_id, {"accuracy": float(np.mean(list(folds.values())))})


def decide(study: Study, trials: list[FrozenTrial]) -> dict[str, Any]:
    """The trials' outcome: the best values where they beat the recipe's own by more than noise."""
    own = own_values(study.recipe)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = max(complete, key=lambda trial: trial.value or 0.0)
    own_right, best_right = study.correct(own), study.correct(best.params)
    p_value = paired_p_value(best_right, own_right)
    compared = max(1, len(trials) - 1)
    taken = best.params != own and p_value * compared < SIGNIFICANCE
    return {
        "values": best.params if taken else {},
        "taken": bool(taken),
        "own": {"accuracy": round(float(own_right.mean()), 6), "values": own},
        "best": {"accuracy": round(float(best_right.mean()), 6), "values": best.params},
        # As if each trial had its chance: Bonferroni's correction of McNemar's exact test.
        "p_value": round(min(1.0, p_value * compared), 6),
        "rows": len(own_right),
        "trials": len(trials),
    }


def tune(settings: Settings, name: str, data: Data) -> dict[str, Any]:
    """Run the recipe's study, or go on with it, and return what its YAML file is to say."""
    if not load_recipe(name).search or not settings.tune.trials:
        say(f"{name}: nothing to tune; the recipe's own values stand")
        return {"values": {}, "taken": False}
    study = open_study(settings, name, data)
    with tracking.run(settings, f"tune {name}", key=study.key) as run_id:
        run_trials(settings, study, run_id)
        outcome = decide(study, finished(study, settings.tune.trials))
        numbers = {f"{which}_accuracy": outcome[which]["accuracy"] for which in ("own", "best")}
        tracking.log_metrics(run_id, numbers | {"p_value": outcome["p_value"]})
    verdict = "tuned values are taken" if outcome["taken"] else "the recipe's own values stand"
    say(
        f"{name}: {verdict}: best of {outcome['trials']} trials {outcome['best']['accuracy']:.4f}, "
        f"the recipe's own {outcome['own']['accuracy']:.4f}, p {outcome['p_value']:.2g} "
        f"({SIGNIFICANCE} wanted)"
    )
    return outcome


def main() -> None:
    """Tune each recipe that has a search space; write the values worth taking."""
    settings = load_settings()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with stage("tune"):
        data = load_data()
        for name in settings.recipes:  # all, before the first one's minutes
            shape, classes = data.train_images.shape[1:], settings.competition.classes
            check_recipe(load_recipe(name), recipe_path(name), shape, classes)
        for name in settings.recipes:
            outcome = tune(settings, name, data)
            text = yaml.safe_dump(outcome, sort_keys=False, allow_unicode=True)
            write_text(TUNED / f"{name}.yaml", text)
        remove_others(TUNED, {f"{name}.yaml" for name in settings.recipes})


if __name__ == "__main__":
    run_command(main)
