"""An Optuna study of a recipe: resumable, reproducible, its trials drawn by their numbers.

A study is a journal in experiments/cache, named by everything that decides its trials. A killed
study resumes where it was, and so do the folds of its trials.
"""

import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.data.arrays import Data
from pipeline.evaluation.metrics import Metric
from pipeline.network.task import Task
from pipeline.recipes.files import recipe_path, with_values
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.search import suggest
from pipeline.training.cache import run_tasks
from pipeline.training.folds import on_all_rows
from pipeline.tuning.pruning import Kind

NUMBER = "number"  # a trial's attribute: which of the study's it is; Optuna's counts killed ones


@dataclass(frozen=True)
class Study:
    """A recipe's study: what decides its trials, and Optuna's own study of them."""

    name: str
    recipe: Recipe
    tasks: list[Task]  # of the recipe's own values, one a fold
    data: Data
    pruner: Kind
    metric: Metric
    first: list[dict[str, Any]]  # the choices of the first trials
    begun: dict[int, dict[str, Any]]  # those of trials that a kill ended, by the trial's number
    key: str
    path: Path  # its journal
    optuna: optuna.Study

    def finished(self, limit: int | None) -> list[FrozenTrial]:
        """The first `limit` trials, or all, that reached their end or were pruned; only to read."""
        ended = (TrialState.COMPLETE, TrialState.PRUNED)
        return self.optuna.get_trials(deepcopy=False, states=ended)[:limit]  # copies take long

    @property
    def labels(self) -> np.ndarray:
        """The labels of the rows that trials see, int (rows,)."""
        return self.data.train_labels[np.array(self.tasks[0].rows)]

    def predictions(self, choices: dict[str, Any]) -> np.ndarray:
        """The probabilities of those rows, each held out; float32 (rows, classes)."""
        results = list(run_tasks(self.tasks_of(choices), self.data))
        return on_all_rows(results, len(self.data.train_labels))[np.array(self.tasks[0].rows)]

    def ask(self, number: int) -> tuple[Trial, dict[str, Any]]:
        """Optuna's trial for the study's trial `number`, from 0, and what it chose.

        It is drawn by a seed of its number, from the trials that have ended: a resumed study draws
        what it would have drawn.
        """
        begun = self.begun.get(number)
        waiting = self.optuna.get_trials(states=(TrialState.WAITING,))  # a kill came just here
        if not waiting and (begun is not None or number < len(self.first)):
            self.optuna.enqueue_trial(self.first[number] if begun is None else begun)
        seed = self.tasks[0].seed * 100_003 + number
        conditional = any(search.when for search in self.recipe.search.values())
        with without_warnings():
            self.optuna.sampler = TPESampler(seed=seed, group=conditional)
        trial = self.optuna.ask()
        trial.set_user_attr(NUMBER, number)
        return trial, suggest(self.recipe.search, trial)

    def tasks_of(self, choices: dict[str, Any]) -> list[Task]:
        """A trial's tasks, one a fold."""
        values = self.recipe.values(choices)
        recipe = with_values(self.recipe, values, recipe_path(self.name))
        return [replace(task, recipe=recipe) for task in self.tasks]


def best_first(trials: list[FrozenTrial], metric: Metric) -> list[FrozenTrial]:
    """The trials that reached their end, the best score first, the earlier of equals."""
    complete = [trial for trial in trials if not pruned(trial)]
    sign = -1 if metric.greater_is_better else 1
    return sorted(complete, key=lambda trial: sign * (trial.value or 0.0))


def direction(metric: Metric) -> Literal["maximize", "minimize"]:
    """A metric's direction in Optuna's words."""
    return "maximize" if metric.greater_is_better else "minimize"


def pruned(trial: FrozenTrial) -> bool:
    """Whether a trial was ended before its last fold."""
    return trial.state == TrialState.PRUNED


def without_warnings() -> AbstractContextManager[Any]:
    """Without Optuna's note that a part of it is experimental: its version is pinned."""
    return warnings.catch_warnings(action="ignore", category=ExperimentalWarning)
