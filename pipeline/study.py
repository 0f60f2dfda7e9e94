"""An Optuna study of a recipe: resumable, exact, its trials judged fold after fold.

A study is a journal in experiments/cache, named by all that decides its trials; a killed one goes
on where it was, and so do its trials' folds.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import NopPruner, WilcoxonPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.checkpoint import Epoch
from pipeline.compute import run_tasks
from pipeline.config import Settings, read_yaml
from pipeline.console import say, warn
from pipeline.curves import CURVES, watcher
from pipeline.files import CACHE, STUDIES, sha256_json, write_json
from pipeline.folds import fold_tasks, right_rows
from pipeline.recipe import Recipe, load_recipe, recipe_path, with_values
from pipeline.sealed import is_intact, seal
from pipeline.search import suggest
from pipeline.task import Data, Task, fingerprint
from pipeline.tuned import tuning_rows

# Wilcoxon's test of a few folds cannot reach small p values: with five, none under 0.0625. At this
# one a trial that loses each of its first three folds to the best trial is pruned.
PRUNE_P = 0.13
optuna.logging.set_verbosity(optuna.logging.WARNING)  # trials have a line of their own


@dataclass(frozen=True)
class Study:
    """A recipe's study: Optuna's own, and what a trial needs."""

    name: str
    recipe: Recipe
    tasks: list[Task]  # of the recipe's own values, one a fold
    data: Data
    pruner: Literal["none", "median", "hyperband"]
    first: list[dict[str, Any]]  # the choices of the first trials
    trials: optuna.Study
    key: str
    path: Path  # its journal

    def finished(self, limit: int | None) -> list[FrozenTrial]:
        """The first `limit` trials, or all, that ran to their end or were pruned."""
        ended = (TrialState.COMPLETE, TrialState.PRUNED)
        return self.trials.get_trials(states=ended)[:limit]

    def correct(self, choices: dict[str, Any]) -> np.ndarray:
        """Whether each row of the slice, held out, was labelled right; bool (rows,)."""
        right = np.zeros(len(self.data.train_labels), dtype=bool)
        for task in self._tasks_of(choices):
            right |= self._fold(task)[0]
        return right[np.array(self.tasks[0].rows)]

    def run_trial(self, number: int) -> FrozenTrial:
        """Run the study's trial `number`, counted by those that ended."""
        self._queue(number)
        # Seeded by the trial, not by the process: a study that was killed and gone on with draws
        # what an undisturbed one would.
        seed = self.tasks[0].seed * 100_003 + number
        conditional = any(search.when for search in self.recipe.search.values())
        with _without_warnings():
            self.trials.sampler = TPESampler(seed=seed, group=conditional)
        trial = self.trials.ask()
        choices = suggest(self.recipe.search, trial)
        try:
            self.trials.tell(trial, float(np.mean(list(self._judge(trial, number, choices)))))
        except optuna.TrialPruned:
            self.trials.tell(trial, state=TrialState.PRUNED)
        seal(self.path)
        return self.trials.trials[trial.number]

    def _queue(self, number: int) -> None:
        waiting = self.trials.get_trials(states=(TrialState.WAITING,))  # a kill came just here
        if number < len(self.first) and not waiting:
            self.trials.enqueue_trial(self.first[number])

    def _judge(self, trial: Trial, number: int, choices: dict[str, Any]) -> Iterator[float]:
        """The accuracy of fold after fold.

        Raises:
            optuna.TrialPruned: the trial is not worth going on with.
        """
        earlier, curves, seconds = self.finished(number), dict[str, list[float]](), 0.0
        for task in self._tasks_of(choices):
            watch = watcher(self.pruner, task.epochs, task.fold, earlier)
            seen: list[list[Epoch]] = []

            def look(history: list[Epoch], watch=watch, seen=seen) -> None:  # type: ignore[no-untyped-def]
                seen.append(history)
                watch(history)

            try:
                right, labels = self._fold(task, look)
            finally:
                history = seen[-1] if seen else []
                curves[str(task.fold)] = [row["val_accuracy"] for row in history]
                seconds += sum(row["seconds"] for row in history)
                trial.set_user_attr(CURVES, curves)
                trial.set_user_attr("seconds", seconds)
            accuracy = float(right.sum() / labels)
            say(
                f"{self.name}  trial {number + 1}  fold {task.fold + 1}/{len(self.tasks)}"
                f"  accuracy {accuracy:.4f}  {sum(row['seconds'] for row in history):.1f} s"
            )
            trial.report(accuracy, step=task.fold)
            yield accuracy
            if task.fold != self.tasks[-1].fold and trial.should_prune():
                raise optuna.TrialPruned

    def _tasks_of(self, choices: dict[str, Any]) -> list[Task]:
        values = self.recipe.values(choices)
        recipe = with_values(self.recipe, values, recipe_path(self.name))
        return [replace(task, recipe=recipe) for task in self.tasks]

    def _fold(self, task: Task, look: Any = lambda _history: None) -> tuple[np.ndarray, int]:
        """The train rows that the fold's network labels right unseen, bool (rows,); of how many.

        `look` is shown the history after each epoch and at the end, also of a fold from the cache.
        """
        (result,) = run_tasks([task], self.data, lambda _task, history: look(history))
        look(result.history)
        return right_rows(result, self.data.train_labels), len(result.held_out)


def best_first(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Those that ran to their end, the most accurate first, the earlier of equals."""
    complete = [trial for trial in trials if not pruned(trial)]
    return sorted(complete, key=lambda trial: -(trial.value or 0.0))


def pruned(trial: FrozenTrial) -> bool:
    """Whether a trial was ended before its last fold."""
    return trial.state == TrialState.PRUNED


def _without_warnings() -> AbstractContextManager[Any]:
    """Without Optuna's word that something of it is experimental: it is pinned."""
    return warnings.catch_warnings(action="ignore", category=ExperimentalWarning)


def open_study(settings: Settings, name: str, data: Data, go_on: bool = False) -> Study:
    """Open the recipe's study, with the trials it has; end those a kill left running.

    It begins with the recipe's own values and the best of the study in experiments/studies. With
    `go_on` it is that study itself, if nothing that decides its trials has changed.
    """
    recipe = load_recipe(name)
    rows = tuple(tuning_rows(settings, data.train_labels, data.folds).tolist())
    epochs = settings.tune.epochs or recipe.epochs
    tasks = [
        replace(task, epochs=epochs, rows=rows, test=False)
        for task in fold_tasks(settings, name, recipe, repeats=1)
    ]
    space = {key: search.model_dump() for key, search in recipe.search.items()}
    decides = [settings.tune.pruner, *(fingerprint(task, data) for task in tasks)]
    own, long = recipe.own_choices(), _long_study(name)
    first, its_first = [own, *_best_of(long, recipe)], long.get("first", [own])
    if go_on and long.get("study") == _key(space, its_first, decides):
        first = its_first
    key = _key(space, first, decides)
    _say_what_changed(f"{name}-long" if go_on else name, space, key)
    path = CACHE / "tune" / f"{name}-{key}.log"
    with _without_warnings():
        wilcoxon = WilcoxonPruner(p_threshold=PRUNE_P, n_startup_steps=2)
    if not is_intact(path):
        warn(f"{path} is damaged; beginning the study anew, its finished folds are kept")
        path.unlink(missing_ok=True)
    trials = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=name,
        direction="maximize",
        pruner=NopPruner() if settings.tune.pruner == "none" else wilcoxon,
        load_if_exists=True,
    )
    # Put back nothing that a kill left running: a trial's draws come from its number, so the next
    # trial is that one again, and what it had finished is in the cache.
    for trial in trials.get_trials(states=(TrialState.RUNNING,)):
        trials.tell(trial.number, state=TrialState.FAIL)
    return Study(name, recipe, tasks, data, settings.tune.pruner, first, trials, key, path)


def _key(space: dict[str, Any], first: list[dict[str, Any]], decides: list[str]) -> str:
    """A study's name, from all that decides its trials."""
    return sha256_json([space, first, *decides])[:24]


def _long_study(name: str) -> dict[str, Any]:
    """What `make tune` found for the recipe; empty if it was never run."""
    path = STUDIES / f"{name}.yaml"
    return read_yaml(path) if path.exists() else {}


def _best_of(long: dict[str, Any], recipe: Recipe) -> list[dict[str, Any]]:
    """A study's best choices of the recipe's space; not its own, nor what lost at full length."""
    choices = long.get("best", {}).get("choices", {})
    lost = {each["trial"] for each in long.get("confirmed", ()) if not each["beats"]}
    if long.get("best", {}).get("trial") in lost:
        return []
    fits = set(choices) <= set(recipe.search) and choices != recipe.own_choices()
    return [choices] if choices and fits else []


def _say_what_changed(name: str, space: dict[str, Any], key: str) -> None:
    """Say why this is not the study of last time; note it for the next."""
    path = CACHE / "tune" / f"{name}.json"
    if path.exists():
        try:
            last = json.loads(path.read_text())
        except ValueError:
            last = {}
        if last.get("key") != key:
            what = "search space" if last.get("space") != space else "data, code or settings"
            say(f"{name}: a new study: the {what} changed since the last one, which is kept")
    write_json(path, {"key": key, "space": space})
