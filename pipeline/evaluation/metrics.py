"""A competition's metric, with its direction: scores, their intervals, and what beats what.

The metrics are scikit-learn's, always told all classes. Where rows count one by one (accuracy, and
f1_micro, which is the same for one label a row) intervals and comparisons are exact; else rows are
drawn again, within each class (a stratified bootstrap; Efron and Tibshirani, 1993).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from pipeline.base.competition import LOWER_IS_BETTER
from pipeline.evaluation.scores import accuracy, correct, paired_p_value, share_interval

FEWEST, DRAWS = 100, 400  # of a bootstrap
LEAST = 1e-15  # a probability, as graders count it
SCORED = 30_000_000  # rows that a bootstrap may score in all, for its time
Function = Callable[[np.ndarray, np.ndarray], float]  # of labels, int (rows,), and probabilities


@dataclass(frozen=True)
class Metric:
    """How a competition scores predictions."""

    name: str
    title: str
    of_rows: bool  # the share of rows that are right
    function: Function

    @property
    def greater_is_better(self) -> bool:
        """Its direction."""
        return self.name not in LOWER_IS_BETTER

    def score(self, probabilities: np.ndarray, labels: np.ndarray) -> float:
        """The score of probabilities, float (rows, classes), for rows of labels, int (rows,)."""
        if not (self.of_rows or np.isfinite(probabilities).all()):  # a training that diverged
            probabilities = np.where(np.isfinite(probabilities), probabilities, 0.0)
        return float(self.function(labels, probabilities))

    def better(self, one: float, other: float) -> bool:
        """Whether one score is better than another."""
        return one > other if self.greater_is_better else one < other

    def gain(self, new: float, old: float) -> float:
        """How much better a score is than another; below 0: worse."""
        return new - old if self.greater_is_better else old - new

    def interval(self, probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        """The score's 95% interval: Wilson's of a share, else the bootstrap's percentiles."""
        if self.of_rows:
            return share_interval(int(correct(probabilities, labels).sum()), len(labels))
        drawn = [self.score(probabilities[rows], labels[rows]) for rows in _drawn(labels)]
        low, high = np.percentile(drawn, [2.5, 97.5])
        return float(low), float(high)

    def p_value(self, new: np.ndarray, old: np.ndarray, labels: np.ndarray) -> float:
        """How often chance alone makes new probabilities score this much better, one-sided.

        McNemar's exact test of rows that count one by one, else a paired bootstrap. Both are of the
        same rows.
        """
        if self.of_rows:
            return paired_p_value(correct(new, labels), correct(old, labels))
        gains = [
            self.gain(self.score(new[rows], labels[rows]), self.score(old[rows], labels[rows]))
            for rows in _drawn(labels)
        ]
        # By their mean and spread: to count the draws that lose could tell no p below 1 in 400.
        spread = float(np.std(gains))
        return float(norm.sf(np.mean(gains) / spread)) if spread else float(np.mean(gains) <= 0)


def _drawn(labels: np.ndarray) -> Iterator[np.ndarray]:
    """Rows drawn with replacement within each class, the same for the same labels."""
    random = np.random.default_rng(len(labels))
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    for _ in range(int(np.clip(SCORED // max(1, len(labels)), FEWEST, DRAWS))):
        yield np.concatenate([random.choice(rows, len(rows)) for rows in groups])


def _f1_macro(labels: np.ndarray, probabilities: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    classes = range(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    return float(f1_score(labels, predicted, labels=classes, average="macro", zero_division=0.0))


def _log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    from sklearn.metrics import log_loss

    p = np.clip(probabilities.astype(np.float64), LEAST, 1.0)
    whole = p / p.sum(axis=1, keepdims=True)
    return float(log_loss(labels, whole, labels=range(probabilities.shape[1])))


def _roc_auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Of two classes the area under the curve; of more the mean over classes, each against all."""
    from sklearn.metrics import roc_auc_score

    classes = range(probabilities.shape[1]) if probabilities.shape[1] > 2 else (1,)
    areas = [
        roc_auc_score(labels == label, probabilities[:, label])
        for label in classes
        if 0 < (labels == label).sum() < len(labels)
    ]
    return float(np.mean(areas)) if areas else 0.5


def _kappa(labels: np.ndarray, probabilities: np.ndarray) -> float:
    from sklearn.metrics import cohen_kappa_score

    classes = list(range(probabilities.shape[1]))
    predicted = probabilities.argmax(axis=1)
    found = cohen_kappa_score(labels, predicted, labels=classes, weights="quadratic")
    return float(found) if np.isfinite(found) else 0.0


def _accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return accuracy(probabilities, labels)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", True, _accuracy),
        Metric("f1_micro", "F1, micro", True, _accuracy),
        Metric("f1_macro", "F1, macro", False, _f1_macro),
        Metric("log_loss", "log loss", False, _log_loss),
        Metric("roc_auc", "ROC AUC", False, _roc_auc),
        Metric("quadratic_kappa", "quadratic kappa", False, _kappa),
    )
}
