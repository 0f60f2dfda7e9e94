"""A study's trials, a few at a time, and what is taken from them."""

from collections.abc import Callable
from typing import Any

from optuna.trial import FrozenTrial

from pipeline.base.console import say
from pipeline.base.settings import Settings
from pipeline.data.results import Score, Tuned
from pipeline.training.progress import Progress
from pipeline.training.side_by_side import Team
from pipeline.tuning.confirm import candidates, confirm
from pipeline.tuning.study import Study, best_first, pruned
from pipeline.tuning.window import run_window


def run_trials(
    settings: Settings,
    study: Study,
    team: Team,
    log: Callable[[int, FrozenTrial], Any],
    later: float = 0.0,
) -> None:
    """Continue the study until it has `tune.trials` trials, some at a time, side by side.

    Args:
        settings: how many trials, and how many at a time.
        study: the study.
        team: what trains.
        log: gets each trial with its number, from 0.
        later: seconds of the work after this one, for the time left.
    """
    trials, batch = settings.tune.trials, settings.tune.batch
    done = study.finished(trials)
    for number, earlier in enumerate(done):  # a kill may have come between a trial and its logging
        log(number, earlier)
    learned, at_once = len(study.tasks[0].split(study.data.folds)[0]), team.at_once
    networks = (trials - len(done)) * len(study.tasks)
    progress = Progress(study.name, networks, study.tasks[0].epochs, at_once, learned, later=later)
    with progress.shown():
        start = len(done)
        while start < trials:
            end = min(trials, (start // batch + 1) * batch)
            for number, trial in enumerate(
                run_window(study, batch, start, end, team, progress.epoch), start
            ):
                log(number, trial)
                say(_in_words(study, number, trials, trial))
            start = end


def _in_words(study: Study, number: int, trials: int, trial: FrozenTrial) -> str:
    """A trial in one line: what it scored, and what it tried."""
    value = "" if trial.value is None or pruned(trial) else f" {trial.value:.4f}"
    shown = ", ".join(f"{key.split('.')[-1]} {_short(trial.params[key])}" for key in trial.params)
    return (
        f"{study.name} trial {number + 1} of {trials}: {trial.state.name.lower()}{value}, "
        f"best {study.optuna.best_value:.4f} ({shown})"
    )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def decide(settings: Settings, study: Study, team: Team, trials: list[FrozenTrial]) -> Tuned:
    """The values to take, and why."""
    best = best_first(trials, study.metric)[0]
    confirmed = confirm(settings, study, team, candidates(settings, study, trials))
    better = [each for each in confirmed if each.beats]
    sign = 1 if study.metric.greater_is_better else -1
    winner = max(better, key=lambda each: sign * each.score, default=None)
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
    predicted, labels = study.predictions(choices), study.labels
    low, high = (round(end, 6) for end in study.metric.interval(predicted, labels))
    score = round(study.metric.score(predicted, labels), 6)
    return Score(score=score, low=low, high=high, choices=choices, trial=trial)
