"""What is said of two results, by their metric."""

import numpy as np
import pytest

from pipeline.data.results import Blended
from pipeline.evaluation import metrics
from pipeline.report.comparisons import Judged, compared

LABELS = np.arange(200) % 2


def judged(noise: float, seed: int, metric: str = "log_loss", rows: str = "a") -> Judged:
    said = np.random.default_rng(seed).normal(LABELS, noise)
    p = 1 / (1 + np.exp(-4 * (said - 0.5)))
    both = np.stack([1 - p, p], axis=1).astype(np.float32)
    loss = float(-np.log(both[np.arange(200), LABELS]).mean())
    right = both.argmax(axis=1) == LABELS
    share = float(right.mean())
    blended = Blended(
        metric=metric, cv_accuracy=share, cv_accuracy_low=0.0, cv_accuracy_high=1.0, cv_score=loss,
        cv_score_low=0.0, cv_score_high=9.0, cv_rows=200, cv_rows_sha256=rows, cv_log_loss=loss,
        members={},
    )  # fmt: skip
    return Judged(blended, right, (both, LABELS))


def test_a_lower_log_loss_is_better_and_another_metric_or_other_rows_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "SCORED", 0)  # as few draws as there may be
    good, poor = judged(0.3, 0), judged(1.0, 1)
    assert compared(good, poor).startswith("better (p ")
    assert compared(poor, good).startswith("worse (p ")
    assert compared(judged(0.5, 2), judged(0.5, 3)).startswith("within chance (p ")
    assert compared(good, good) == "the same predictions"
    assert compared(good, judged(0.3, 0, rows="b")) == "other rows: not comparable"
    assert compared(good, judged(0.3, 0, metric="roc_auc")) == "in ROC AUC, another metric"
