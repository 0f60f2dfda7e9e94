"""A study's trials, one after the other, and what is taken from them."""

import time
from collections.abc import Callable
from typing import Any

from optuna.trial import FrozenTrial

from pipeline.base.console import duration, say
from pipeline.base.settings import Settings
from pipeline.data.results import Score, Tuned
from pipeline.evaluation.scores import share_interval
from pipeline.tuning.confirm import candidates, confirm
from pipeline.tuning.study import Study, best_first, pruned


def run_trials(study: Study, trials: int, log: Callable[[int, FrozenTrial], Any]) -> None:
    """Continue the study until it has `trials` trials; `log` gets each with its number, from 0."""
    done = study.finished(trials)
    for number, earlier in enumerate(done):  # a kill may have come between a trial and its logging
        log(number, earlier)
    started = time.perf_counter()
    for number in range(len(done), trials):
        trial = study.run_trial(number)
        log(number, trial)
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
