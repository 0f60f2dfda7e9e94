"""Accuracies, and how certain they are."""

import math

import numpy as np
from scipy.stats import binomtest

SIGNIFICANCE = 0.05  # the chance of calling something better that is not


def correct(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each row's most probable class is its label.

    Args:
        probabilities: float (rows, classes), or (members, rows, classes).
        labels: int (rows,).

    Returns:
        bool (rows,), or (members, rows).
    """
    return probabilities.argmax(axis=-1) == labels


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows whose most probable class is their label."""
    return float(correct(probabilities, labels).mean())


def errors(share: float, rows: int) -> int:
    """How many of `rows` are wrong where the share `share` is right."""
    return round((1 - share) * rows)


def interval(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The accuracy's 95% interval (Wilson's), rows taken as independent."""
    return share_interval(int(correct(probabilities, labels).sum()), len(labels))


def share_interval(right: int, rows: int) -> tuple[float, float]:
    """The 95% interval (Wilson's) of the share `right` of `rows`, rows taken as independent."""
    bounds = binomtest(right, rows).proportion_ci(method="wilson")
    return float(bounds.low), float(bounds.high)


def difference_error(first: tuple[float, int], second: tuple[float, int]) -> float:
    """The standard error that chance alone gives the difference of two shares, each with its rows.

    Both sets of rows are taken as independent; for the same rows the error is too large.
    """
    return math.sqrt(sum(share * (1 - share) / rows for share, rows in (first, second)))


def beyond_chance(difference: float, error: float) -> bool:
    """Whether a difference is more than chance gives: over two standard errors."""
    return abs(difference) > 2 * error


def paired_p_value(candidate: np.ndarray, baseline: np.ndarray) -> float:
    """How often chance makes the candidate look this much better: McNemar's exact test, one-sided.

    Args:
        candidate: bool (rows,), whether it labels each row right.
        baseline: bool (rows,), the same for what it is compared with.
    """
    won = int((candidate & ~baseline).sum())
    lost = int((baseline & ~candidate).sum())
    return (
        1.0 if won + lost == 0 else float(binomtest(won, won + lost, alternative="greater").pvalue)
    )
