"""Ends a trial's fold whose learning curve falls behind those of earlier trials on that fold."""

from collections.abc import Callable, Iterable
from typing import Literal

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.network.checkpoint import Epoch

CURVES = "curves"  # a trial's attribute: {fold: [accuracy after each epoch]}
Kind = Literal["none", "median", "hyperband"]  # which of Optuna's pruners; none never prunes


def watcher(
    kind: Kind, epochs: int, fold: int, earlier: Iterable[FrozenTrial]
) -> Callable[[list[Epoch]], None]:
    """A function that gets a fold's history after each epoch; it raises `optuna.TrialPruned`.

    Given the same history a second time, or all of it at once from the cache, it decides as it did
    the first time.

    Args:
        kind: which pruner.
        epochs: of a whole fold.
        fold: which one.
        earlier: trials that have ended.
    """
    curves = _earlier_curves(kind, epochs, fold, earlier)
    mine = curves.ask()
    seen = 0

    def watch(history: list[Epoch]) -> None:
        nonlocal seen
        for row in history[seen:]:
            seen += 1
            mine.report(row["val_accuracy"], seen)
            # A whole fold is left to the test between folds.
            if seen < epochs and mine.should_prune():
                raise optuna.TrialPruned

    return watch


def _earlier_curves(
    kind: Kind, epochs: int, fold: int, earlier: Iterable[FrozenTrial]
) -> optuna.Study:
    """The curves of one fold as an Optuna study of their own, in memory, whose steps are epochs."""
    name, pruner = f"fold {fold}", _pruner(kind, epochs)
    curves = optuna.create_study(study_name=name, direction="maximize", pruner=pruner)
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
    return curves


def _pruner(kind: Kind, epochs: int) -> BasePruner:
    if kind == "median":
        # The first epochs of a curve say more about the warm-up than about its end.
        return MedianPruner(n_startup_trials=5, n_warmup_steps=1 + epochs // 3)
    if kind == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs)
    return NopPruner()
