"""The best trials of a study, trained as the recipe itself is, and compared with it row by row."""

from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial

from pipeline.base.console import say
from pipeline.base.settings import Settings
from pipeline.data.arrays import Data
from pipeline.data.results import Confirmed
from pipeline.data.rows import choosing_rows
from pipeline.evaluation.scores import SIGNIFICANCE
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.recipes.files import recipe_path, with_values
from pipeline.training.cache import Result
from pipeline.training.folds import fold_tasks, on_all_rows
from pipeline.training.progress import Progress
from pipeline.training.side_by_side import Team
from pipeline.tuning.study import Study, best_first


def candidates(settings: Settings, study: Study, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The best `tune.confirm` trials that did better than the recipe's own values, not by luck.

    Luck: the metric's own test on the slice, at 5% for all trials together, of which these are the
    best. It only saves the time of trials that are plainly no better; `confirm` decides.
    """
    own, metric = study.predictions(study.recipe.own_choices()), study.metric
    each = SIGNIFICANCE / len(trials)
    return [
        trial
        for trial in best_first(trials, metric)[: settings.tune.confirm]
        if metric.p_value(study.predictions(trial.params), own, study.labels) < each
    ]


def confirm(
    settings: Settings, study: Study, team: Team, best: list[FrozenTrial]
) -> list[Confirmed]:
    """Train each of the best trials at full length, and compare it with the recipe's own values.

    They are compared on half of the train rows, the half whose slice the trials were judged on; the
    other half is left to score the values that are taken. Of all values tried at full length
    together, the chance of taking some that are no better is 5%.
    """
    half = np.zeros(len(study.data.train_labels), dtype=bool)
    half[choosing_rows(settings, study.data.train_labels, study.data.folds)] = True
    recipe = study.recipe.model_copy(update={"search": {}})
    own = fold_tasks(settings, study.name, recipe, len(study.data.classes), repeats=1)
    outcomes = []
    for trial in best:
        number = study.finished(None).index(trial) + 1  # Optuna also counts trials that were killed
        say(f"{study.name}: training trial {number} at full length")
        values = study.recipe.values(trial.params)
        changed = with_values(study.recipe, values, recipe_path(study.name))
        other = fold_tasks(settings, study.name, changed, len(study.data.classes), repeats=1)
        race = _race(team, own, other, study, half)
        metric = study.metric
        p_value = min(1.0, len(best) * metric.p_value(race.other, race.own, race.labels))
        outcomes.append(
            Confirmed(
                trial=number,
                values=values,
                score=round(metric.score(race.other, race.labels), 6),
                own_score=round(metric.score(race.own, race.labels), 6),
                rows=len(race.labels),
                p_value=round(p_value, 6),
                beats=bool(p_value < SIGNIFICANCE and race.whole),
            )
        )
    return outcomes


@dataclass(frozen=True)
class _Race:
    """What two recipes predicted of the rows of some folds."""

    own: np.ndarray  # float32 (rows, classes)
    other: np.ndarray
    labels: np.ndarray
    whole: bool  # whether all folds were run


def _race(team: Team, own: list[Task], other: list[Task], study: Study, half: np.ndarray) -> _Race:
    """Train both fold by fold, as long as the other is ahead; judged on the rows of `half`."""
    data, metric = study.data, study.metric
    found: list[list[Result]] = [[], []]
    for pair in zip(own, other, strict=True):
        for which, result in enumerate(_train_pair(list(pair), data, team)):
            found[which].append(result)
        rows = np.zeros(len(data.train_labels), dtype=bool)
        for result in found[0]:
            rows[result.held_out] = True
        rows &= half
        mine, its = (on_all_rows(each, len(rows))[rows] for each in found)
        labels = data.train_labels[rows]
        if not metric.better(metric.score(its, labels), metric.score(mine, labels)):
            break
    return _Race(mine, its, labels, len(found[0]) == len(own))


def _train_pair(pair: list[Task], data: Data, team: Team) -> list[Result]:
    """Train the same fold with the recipe's own values and with a trial's."""
    learned = len(pair[0].split(data.folds)[0])
    with Progress(pair[0].name, 2, pair[0].epochs, team.at_once, learned).shown() as progress:

        def report(task: Task, history: list[Epoch]) -> None:
            which = "the recipe's own" if task is pair[0] else "the trial's"
            progress.epoch(f"{which}, {task.label}", task, history)

        return list(team.results([(task, data) for task in pair], report))
