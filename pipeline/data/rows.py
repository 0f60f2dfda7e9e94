"""Which rows do what: slices, folds, the rows that tuning sees and those that judge its choice."""

from collections.abc import Sequence

import numpy as np

from pipeline.base.errors import UserError
from pipeline.base.settings import Settings


def stratified_slice(strata: np.ndarray, rows: int | None, seed: int, setting: str) -> np.ndarray:
    """The positions, rising, of `rows` rows with each stratum's share kept; None: of all.

    All rows if as many or more are asked for, or a few fewer, which cannot keep the shares.

    Raises:
        UserError: fewer rows than strata; it names `setting`.
    """
    strata = _without_single_rows(strata)
    counts = np.unique(strata, return_counts=True)[1]
    if rows is None or rows > len(strata) - len(counts):
        return np.arange(len(strata))
    if rows < len(counts) or counts.min() < 2:
        raise UserError(
            f"params.yaml: {setting}: {rows} rows of {len(strata)} cannot keep the shares of "
            f"{len(counts)} groups of rows, the smallest of {counts.min()}; take more"
        )
    # Imported here: scikit-learn takes seconds, and a bad file is refused before.
    from sklearn.model_selection import train_test_split

    chosen, _ = train_test_split(
        np.arange(len(strata)), train_size=rows, stratify=strata, random_state=seed
    )
    return np.sort(chosen)


def _without_single_rows(strata: np.ndarray) -> np.ndarray:
    """The strata, those of a single row joined to one: a single row cannot be divided."""
    values, which, counts = np.unique(strata, return_inverse=True, return_counts=True)
    single = counts[which] == 1
    if not single.any() or len(values) == 1:
        return strata
    which[single] = len(values) if single.sum() > 1 else counts.argmax()
    return which


def assign_folds(
    labels: np.ndarray, folds: int, seed: int, names: Sequence[str] = ()
) -> np.ndarray:
    """The fold of each row, uint8 (rows,): stratified, shuffled by the seed.

    `names` are the classes', for the message.

    Raises:
        UserError: a label has fewer rows than there are folds.
    """
    present, counts = np.unique(labels, return_counts=True)
    if counts.min() < folds:
        rarest = names[present[counts.argmin()]] if names else present[counts.argmin()]
        raise UserError(
            f"params.yaml: preprocess.folds: {folds} folds, but label {rarest} "
            f"has only {counts.min()} rows; take fewer folds"
        )
    from sklearn.model_selection import StratifiedKFold  # imported here: see above

    fold_of_row = np.empty(len(labels), np.uint8)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(labels, labels)):
        fold_of_row[held_out] = fold
    return fold_of_row


def choosing_rows(settings: Settings, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The positions, rising, of the half of the rows on which tuning chooses values.

    Each label's share and each fold's is kept.
    """
    strata = _label_and_fold(labels, folds)
    return stratified_slice(strata, len(labels) // 2, settings.seed, "tune")


def tuning_rows(settings: Settings, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The positions, rising, of the rows a trial sees: `tune.rows` of that half, or all of it."""
    half = choosing_rows(settings, labels, folds)
    strata = _label_and_fold(labels, folds)[half]
    rows = min(settings.tune.rows, len(half))
    return half[stratified_slice(strata, rows, settings.seed, "tune.rows")]


def _label_and_fold(labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    return folds.astype(int) * (int(labels.max()) + 1) + labels


def judged_rows(
    settings: Settings, labels: np.ndarray, folds: np.ndarray, tuned: bool
) -> np.ndarray:
    """Which rows a score is computed on, bool (rows,): all, or the half tuning did not choose on.

    Args:
        settings: whose seed chooses the half.
        labels: int (rows,).
        folds: uint8 (rows,).
        tuned: whether tuned values are in use; they are not scored on the rows that chose them.
    """
    judged = np.ones(len(labels), dtype=bool)
    if tuned:
        judged[choosing_rows(settings, labels, folds)] = False
    return judged
