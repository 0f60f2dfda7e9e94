"""Ends a trial's fold whose learning curve falls behind those of earlier trials on that fold."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.checkpoint import Epoch

CURVES = "curves"  # a trial's attribute: {fold: [accuracy after each epoch]}


def _pruner(kind: Literal["none", "median", "hyperband"], epochs: int) -> BasePruner:
    if kind == "median":
        # At first a curve says more of the warm-up than of what comes of it.
        return MedianPruner(n_startup_trials=5, n_warmup_steps=1 + epochs // 3)
    if kind == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs)
    return NopPruner()


def watcher(
    kind: Literal["none", "median", "hyperband"],
    epochs: int,
    fold: int,
    earlier: Iterable[FrozenTrial],
) -> Callable[[list[Epoch]], None]:
    """A function to be given a fold's history after each epoch; it raises `optuna.TrialPruned`.

    The curves of one fold are an Optuna study of their own, in memory, whose steps are epochs; the
    steps of the study of trials are folds. Handed the same history a second time, or all of it at
    once from the cache, it decides as it did the first time.

    Args:
        kind: which of Optuna's pruners; `none` never prunes.
        epochs: of a whole fold.
        fold: which one.
        earlier: trials that have ended.
    """
    curves = optuna.create_study(
        study_name=f"fold {fold}", direction="maximize", pruner=_pruner(kind, epochs)
    )
    for trial in earlier:
        curve = trial.user_attrs.get(CURVES, {}).get(str(fold))
        if curve:
            whole = fold in trial.intermediate_values
            curves.add_trial(
                create_trial(
                    state=TrialState.COMPLETE if whole else TrialState.PRUNED,
                    value=curve[-1],
                    intermediate_values=dict(enumerate(curve, start=1)),
                )
            )
    mine = curves.ask()
    seen: list[Any] = []

    def watch(history: list[Epoch]) -> None:
        for row in history[len(seen) :]:
            seen.append(row)
            mine.report(row["val_accuracy"], len(seen))
            if mine.should_prune():
                raise optuna.TrialPruned

    return watch
