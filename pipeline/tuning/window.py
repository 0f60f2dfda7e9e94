"""Some trials of a study, trained side by side.

Each is drawn, and pruned, by the trials that had ended before all of them, and they are told in
their order once all have ended. So a study is the same however many networks train at a time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.training.board import Job
from pipeline.training.cache import Result
from pipeline.training.side_by_side import Team
from pipeline.training.worker import StopTrainingError
from pipeline.tuning.append_only import note_digest
from pipeline.tuning.pruning import CURVES, watcher
from pipeline.tuning.study import Study

Report = Callable[[str, Task, list[Epoch]], Any]  # what it is: `trial 3 fold 2`


def run_window(
    study: Study, batch: int, start: int, end: int, team: Team, report: Report = lambda *_: None
) -> list[FrozenTrial]:
    """Run a study's trials `start` to `end`, of one batch of `batch`; those before have ended.

    Where a kill came while the batch was told, it is the rest of it: the others do not count.
    """
    earlier, numbers = study.finished(start - start % batch), range(start, end)
    running = [_Running(study, number, earlier) for number in numbers]

    def of(task: Task) -> _Running:
        return next(each for each in running if task.recipe is each.tasks[0].recipe)

    def epoch(task: Task, history: list[Epoch]) -> None:
        report(f"trial {of(task).number + 1} {task.label}", task, history)
        of(task).watch(task, history)

    def then(task: Task, result: Result | None) -> list[Job]:
        if result is not None:  # of a fold in the cache no epoch was reported
            report(f"trial {of(task).number + 1} {task.label}", task, result.history)
        return of(task).ended(task, result)

    for _ in team.run([job for each in running for job in each.first_jobs()], epoch, then):
        pass
    return [each.tell() for each in running]


class _Running:
    """A trial whose folds are trained."""

    def __init__(self, study: Study, number: int, earlier: list[FrozenTrial]) -> None:
        self.study, self.number = study, number
        self.trial, self.choices = study.ask(number)
        self.tasks = study.tasks_of(self.choices)
        self.watchers = {
            task.fold: watcher(study.pruner, task.epochs, task.fold, earlier) for task in self.tasks
        }
        self.between = _between_folds(study, earlier)
        self.histories: dict[int, list[Epoch]] = {}
        self.scores: dict[int, float] = {}
        self.pruned = False

    def first_jobs(self) -> list[Job]:
        """All folds; where a trial may be pruned the first, as each fold decides on the next."""
        tasks = self.tasks if self.study.pruner == "none" else self.tasks[:1]
        return [(task, self.study.data) for task in tasks]

    def watch(self, task: Task, history: list[Epoch]) -> None:
        """Note an epoch.

        Raises:
            StopTrainingError: the fold falls behind those of earlier trials.
        """
        for seen in range(len(self.histories.get(task.fold, ())), len(history)):
            self.histories[task.fold] = history[: seen + 1]
            try:
                self.watchers[task.fold](history[: seen + 1])
            except optuna.TrialPruned:
                self.pruned = True
                raise StopTrainingError from None

    def ended(self, task: Task, result: Result | None) -> list[Job]:
        """Note a fold that has ended; what follows."""
        if result is not None:
            try:
                self.watch(task, result.history)  # of a fold in the cache nobody has seen an epoch
            except StopTrainingError:
                result = None
        if result is None:
            return []
        labels = self.study.data.train_labels[result.held_out]
        self.scores[task.fold] = self.study.metric.score(result.probabilities, labels)
        if self.study.pruner == "none":
            return []
        self.between.report(self.scores[task.fold], step=task.fold)
        left = self.tasks[len(self.scores) :]
        self.pruned = self.pruned or (bool(left) and self.between.should_prune())
        return [] if self.pruned or not left else [(left[0], self.study.data)]

    def _score(self) -> float:
        """The mean over folds; where rows do not count one by one, the score of all rows."""
        metric = self.study.metric
        if metric.of_rows:
            return float(np.mean([self.scores[task.fold] for task in self.tasks]))
        return metric.score(self.study.predictions(self.choices), self.study.labels)

    def tell(self) -> FrozenTrial:
        """Tell Optuna what came of it."""
        trial, told = self.trial, self.study.optuna
        histories = {str(fold): self.histories[fold] for fold in sorted(self.histories)}
        curves = {fold: [row["val_accuracy"] for row in each] for fold, each in histories.items()}
        seconds = sum(row["seconds"] for each in histories.values() for row in each)
        trial.set_user_attr(CURVES, curves)
        trial.set_user_attr("seconds", seconds)
        for fold, score in sorted(self.scores.items()):
            trial.report(score, step=fold)
        if self.pruned:
            told.tell(trial, state=TrialState.PRUNED)
        else:
            told.tell(trial, self._score())
        note_digest(self.study.path)
        return told.get_trials(deepcopy=False)[trial.number]


def _between_folds(study: Study, earlier: list[FrozenTrial]) -> optuna.Trial:
    """A trial beside those that count, in memory: whether to go on after a fold is asked of it."""
    copy = optuna.create_study(direction=study.optuna.direction, pruner=study.optuna.pruner)
    for trial in earlier:
        copy.add_trial(trial)
    return copy.ask()
