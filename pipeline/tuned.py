"""The training rows that tuning sees, and those left to judge what it chose."""

import numpy as np

from pipeline.config import Settings, read_yaml
from pipeline.files import TUNED
from pipeline.preprocess import stratified_slice


def choosing_rows(settings: Settings, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The positions, rising, of the half of the rows by which values are chosen.

    Each label's share and each fold's is kept.
    """
    return stratified_slice(
        _strata(settings, labels, folds), len(labels) // 2, settings.seed, "tune"
    )


def tuning_rows(settings: Settings, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The positions, rising, of the rows a trial sees: `tune.rows` of that half, or all of it."""
    half = choosing_rows(settings, labels, folds)
    strata = _strata(settings, labels, folds)[half]
    rows = min(settings.tune.rows, len(half))
    return half[stratified_slice(strata, rows, settings.seed, "tune.rows")]


def _strata(settings: Settings, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    return folds.astype(int) * settings.competition.classes + labels


def judged_rows(
    settings: Settings, recipes: tuple[str, ...], labels: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """Which rows may judge the recipes: bool (rows,), all unless tuned values were taken.

    Values that were chosen by their score on some rows are not scored on those.
    """
    judged = np.ones(len(labels), dtype=bool)
    if any(read_yaml(TUNED / f"{name}.yaml").get("taken") for name in recipes):
        judged[choosing_rows(settings, labels, folds)] = False
    return judged
