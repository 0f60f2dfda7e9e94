"""An Optuna study of a recipe: resumable, reproducible, its trials scored fold after fold.

A study is a journal in experiments/cache, named by everything that decides its trials. A killed
study resumes where it was, and so do the folds of its trials.
"""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.base.console import say
from pipeline.data.arrays import Data
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.recipes.files import recipe_path, with_values
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.search import suggest
from pipeline.training.cache import run_tasks
from pipeline.training.folds import right_rows
from pipeline.tuning.append_only import note_digest
from pipeline.tuning.pruning import CURVES, Kind, watcher


@dataclass(frozen=True)
class Study:
    """A recipe's study: what decides its trials, and Optuna's own study of them."""

    name: str
    recipe: Recipe
    tasks: list[Task]  # of the recipe's own values, one a fold
    data: Data
    pruner: Kind
    first: list[dict[str, Any]]  # the choices of the first trials
    key: str
    path: Path  # its journal
    optuna: optuna.Study

    def finished(self, limit: int | None) -> list[FrozenTrial]:
        """The first `limit` trials, or all, that reached their end or were pruned."""
        ended = (TrialState.COMPLETE, TrialState.PRUNED)
        return self.optuna.get_trials(states=ended)[:limit]

    def correct(self, choices: dict[str, Any]) -> np.ndarray:
        """Whether each row of the slice, held out, was labelled right; bool (rows,)."""
        right = np.zeros(len(self.data.train_labels), dtype=bool)
        for task in self.tasks_of(choices):
            right |= self._fold(task)[0]
        return right[np.array(self.tasks[0].rows)]

    def run_trial(self, number: int) -> FrozenTrial:
        """Run the study's trial `number`, counted from 0 by those that ended."""
        trial = self.ask(number)
        choices = suggest(self.recipe.search, trial)
        try:
            accuracy = float(np.mean(list(self._fold_accuracies(trial, number, choices))))
            self.optuna.tell(trial, accuracy)
        except optuna.TrialPruned:
            self.optuna.tell(trial, state=TrialState.PRUNED)
        note_digest(self.path)
        return self.optuna.trials[trial.number]

    def ask(self, number: int) -> Trial:
        """Optuna's next trial, seeded by its number: a resumed study draws what it would have."""
        waiting = self.optuna.get_trials(states=(TrialState.WAITING,))  # a kill came just here
        if number < len(self.first) and not waiting:
            self.optuna.enqueue_trial(self.first[number])
        seed = self.tasks[0].seed * 100_003 + number
        conditional = any(search.when for search in self.recipe.search.values())
        with without_warnings():
            self.optuna.sampler = TPESampler(seed=seed, group=conditional)
        return self.optuna.ask()

    def tasks_of(self, choices: dict[str, Any]) -> list[Task]:
        """A trial's tasks, one a fold."""
        values = self.recipe.values(choices)
        recipe = with_values(self.recipe, values, recipe_path(self.name))
        return [replace(task, recipe=recipe) for task in self.tasks]

    def _fold_accuracies(
        self, trial: Trial, number: int, choices: dict[str, Any]
    ) -> Iterator[float]:
        """The accuracy of one fold after the other.

        Raises:
            optuna.TrialPruned: the trial is not worth continuing.
        """
        earlier, curves, seconds = self.finished(number), dict[str, list[float]](), 0.0
        for task in self.tasks_of(choices):
            watch = watcher(self.pruner, task.epochs, task.fold, earlier)
            history: list[Epoch] = []

            def look(so_far: list[Epoch], watch=watch, history=history) -> None:  # type: ignore[no-untyped-def]
                history[:] = so_far
                watch(so_far)

            try:
                right, rows = self._fold(task, look)
            finally:
                curves[str(task.fold)] = [row["val_accuracy"] for row in history]
                seconds += sum(row["seconds"] for row in history)
                trial.set_user_attr(CURVES, curves)
                trial.set_user_attr("seconds", seconds)
            accuracy = float(right.sum() / rows)
            say(
                f"{self.name}  trial {number + 1}  fold {task.fold + 1}/{len(self.tasks)}"
                f"  accuracy {accuracy:.4f}  {sum(row['seconds'] for row in history):.1f} s"
            )
            trial.report(accuracy, step=task.fold)
            yield accuracy
            if task.fold != self.tasks[-1].fold and trial.should_prune():
                raise optuna.TrialPruned

    def _fold(self, task: Task, look: Any = lambda _history: None) -> tuple[np.ndarray, int]:
        """The train rows that the fold's network labels right unseen, bool (rows,); of how many.

        `look` gets the history after each epoch and at the end, also of a fold from the cache.
        """
        (result,) = run_tasks([task], self.data, lambda _task, history: look(history))
        look(result.history)
        return right_rows(result, self.data.train_labels), len(result.held_out)


def best_first(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that reached their end, most accurate first, the earlier of equals."""
    complete = [trial for trial in trials if not pruned(trial)]
    return sorted(complete, key=lambda trial: -(trial.value or 0.0))


def pruned(trial: FrozenTrial) -> bool:
    """Whether a trial was ended before its last fold."""
    return trial.state == TrialState.PRUNED


def without_warnings() -> AbstractContextManager[Any]:
    """Without Optuna's note that a part of it is experimental: its version is pinned."""
    return warnings.catch_warnings(action="ignore", category=ExperimentalWarning)
