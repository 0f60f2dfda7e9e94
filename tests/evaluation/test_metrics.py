"""Each metric with its direction, beside scikit-learn's own call of it."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score, log_loss, roc_auc_score

from pipeline.evaluation import metrics
from pipeline.evaluation.blend import Blending, choose_weights
from pipeline.evaluation.metrics import METRICS

LABELS = np.arange(300) % 3


def guesses(right: float, seed: int, classes: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    labels = LABELS % classes
    said = np.where(random.random(300) < right, labels, random.integers(0, classes, 300))
    p = random.random((300, classes)) + 2 * np.eye(classes)[said]
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def test_each_is_scikit_learns() -> None:
    p = guesses(0.8, 0)
    predicted = p.argmax(axis=1)
    assert METRICS["accuracy"].score(p, LABELS) == (predicted == LABELS).mean()
    assert METRICS["f1_micro"].score(p, LABELS) == pytest.approx(
        f1_score(LABELS, predicted, average="micro")
    )
    assert METRICS["f1_macro"].score(p, LABELS) == pytest.approx(
        f1_score(LABELS, predicted, average="macro")
    )
    assert METRICS["log_loss"].score(p, LABELS) == pytest.approx(log_loss(LABELS, p), abs=1e-6)
    kappa = cohen_kappa_score(LABELS, predicted, weights="quadratic")
    assert METRICS["quadratic_kappa"].score(p, LABELS) == pytest.approx(kappa)
    area = roc_auc_score(LABELS, p, multi_class="ovr")
    assert METRICS["roc_auc"].score(p, LABELS) == pytest.approx(area, abs=1e-6)
    two = guesses(0.8, 0, classes=2)
    assert METRICS["roc_auc"].score(two, LABELS % 2) == pytest.approx(
        roc_auc_score(LABELS % 2, two[:, 1])
    )


def test_a_class_that_is_missing_in_some_rows_does_not_matter() -> None:
    p, rows = guesses(0.8, 0), np.flatnonzero(LABELS < 2)
    for metric in METRICS.values():
        assert np.isfinite(metric.score(p[rows], LABELS[rows])), metric.name


@pytest.mark.parametrize("name", METRICS)
def test_the_better_predictions_are_better_beyond_chance_and_like_ones_are_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "SCORED", 0)
    monkeypatch.setattr(metrics, "FEWEST", 25)  # draws
    metric, good, poor = METRICS[name], guesses(0.95, 1), guesses(0.6, 2)
    ours, theirs = metric.score(good, LABELS), metric.score(poor, LABELS)
    assert metric.better(ours, theirs)
    assert metric.gain(ours, theirs) > 0
    assert metric.p_value(good, poor, LABELS) < 0.05
    assert metric.p_value(poor, good, LABELS) > 0.5
    assert metric.p_value(good, good, LABELS) > 0.5
    low, high = metric.interval(good, LABELS)
    assert low < ours < high


@pytest.mark.parametrize("name", METRICS)
def test_a_member_that_only_harms_gets_little_weight(name: str) -> None:
    members = np.stack([guesses(0.95, 1), guesses(0.94, 2), guesses(0.0, 3)])
    weights = choose_weights(members, LABELS, Blending("hill_climb", METRICS[name]))
    assert weights.sum() == pytest.approx(1)
    assert weights[2] < 0.2
