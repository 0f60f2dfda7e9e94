"""Accuracies, and how sure they are."""

import math

import numpy as np
from scipy.stats import binomtest


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows whose most probable class is their label."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def interval(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The accuracy's 95% interval (Wilson's), rows taken as independent."""
    return share_interval(int((probabilities.argmax(axis=1) == labels).sum()), len(labels))


def share_interval(correct: int, rows: int) -> tuple[float, float]:
    """The 95% interval (Wilson's) of `correct` of `rows`, rows taken as independent."""
    bounds = binomtest(correct, rows).proportion_ci(method="wilson")
    return float(bounds.low), float(bounds.high)


def difference_error(first: tuple[float, int], second: tuple[float, int]) -> float:
    """What chance alone gives the difference of two shares, each with its rows: a standard error.

    Both sets of rows are taken as independent; of the same rows it is too large.
    """
    return math.sqrt(sum(share * (1 - share) / rows for share, rows in (first, second)))


def beyond_chance(difference: float, error: float) -> bool:
    """Whether a difference is more than chance gives: over two standard errors."""
    return abs(difference) > 2 * error


def paired_p_value(candidate: np.ndarray, baseline: np.ndarray) -> float:
    """How easily chance makes the candidate look this much better: McNemar's exact test, one-sided.

    Args:
        candidate: bool (rows,), whether it got each row right.
        baseline: the same of what it is compared with, on the same rows.
    """
    won = int((candidate & ~baseline).sum())
    lost = int((baseline & ~candidate).sum())
    return (
        1.0 if won + lost == 0 else float(binomtest(won, won + lost, alternative="greater").pvalue)
    )
