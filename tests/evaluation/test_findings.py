import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from pipeline.evaluation import findings
from pipeline.evaluation.label_noise import suspects
from support.project import probabilities

LABELS = np.arange(3000) % 10


def test_planted_flips_are_suspected_and_hard_rows_are_not() -> None:
    """A flipped label contradicts a sure prediction; a hard row's prediction is sure of nothing."""
    random = np.random.default_rng(0)
    given = LABELS.copy()
    flipped = random.choice(3000, 40, replace=False)
    given[flipped] = (LABELS[flipped] + 3) % 10
    said = 0.95 * np.eye(10)[LABELS] + 0.005
    hard = np.setdiff1d(random.choice(3000, 60, replace=False), flipped)
    said[hard] = 0.06 + 0.4 * np.eye(10)[(LABELS[hard] + 1) % 10]  # wrong, unsure
    found = suspects(said, given)
    assert set(found["row"]) == set(flipped)
    assert (found["label"] == given[found["row"]]).all()
    assert (found["predicted"] == LABELS[found["row"]]).all()


def test_the_most_suspect_label_comes_first() -> None:
    given = LABELS.copy()
    given[[5, 50, 500]] = 1  # of 5, 0 and 0
    said = 0.8 * np.eye(10)[LABELS] + 0.02
    said[50] = 0.98 * np.eye(10)[0] + 0.002
    said[500] = 0.9 * np.eye(10)[0] + 0.01
    found = suspects(said, given)
    assert found["row"].tolist() == [50, 500, 5]
    assert found["margin"].tolist() == pytest.approx([-0.98, -0.9, -0.8])


def test_a_class_without_rows_makes_no_suspect() -> None:
    said = np.array([[0.3, 0.1, 0.6], [0.1, 0.3, 0.6]])
    assert suspects(said, np.array([0, 1])).empty


def test_worst_errors_are_the_wrong_rows_by_their_gap() -> None:
    said = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.45, 0.55]])
    assert findings.worst_errors(said, np.array([0, 0, 0, 1])).tolist() == [2, 1]


def test_least_certain_begins_with_the_lowest_highest_probability() -> None:
    said = np.array([[0.9, 0.1, 0.0], [0.4, 0.3, 0.3], [0.5, 0.5, 0.0]])
    assert findings.least_certain(said).tolist() == [1, 2, 0]


def test_disagreements_are_the_rows_labelled_differently_furthest_apart_first() -> None:
    one = np.array([[0.9, 0.1], [0.6, 0.4], [1.0, 0.0], [0.7, 0.3]])
    two = np.array([[0.8, 0.2], [0.4, 0.6], [0.0, 1.0], [0.6, 0.4]])
    assert findings.disagreements(np.stack([one, two])).tolist() == [2, 1]
    assert findings.disagreements(one[None]).size == 0


def test_label_counts_are_by_fold() -> None:
    labels, folds = np.array([0, 1, 1, 2, 1]), np.array([1, 0, 1, 1, 1])
    assert findings.label_counts(labels, folds, 4).tolist() == [[0, 1, 0, 0], [1, 2, 1, 0]]


def test_classes_come_least_accurate_first_and_pairs_most_confused_first() -> None:
    counts = np.array([[8, 2, 0], [3, 5, 1], [0, 0, 0]])
    table = findings.class_accuracy(counts)
    assert table["label"].tolist() == [1, 0]
    assert table["errors"].tolist() == [4, 2]
    assert ((table["low"] < table["accuracy"]) & (table["accuracy"] < table["high"])).all()
    assert findings.confused_pairs(counts) == [(0, 1, 5), (1, 2, 1)]


def test_calibration_is_scikit_learns_and_its_error_the_mean_distance() -> None:
    said = probabilities(LABELS, 0.8, 0)
    right = said.argmax(axis=1) == LABELS
    bins, error = findings.calibration(said, LABELS)
    accuracy, confidence = calibration_curve(right, said.max(axis=1), n_bins=15)
    np.testing.assert_allclose(bins["accuracy"], accuracy)
    np.testing.assert_allclose(bins["confidence"], confidence, rtol=1e-6)
    assert bins["rows"].sum() == 3000
    assert error == pytest.approx(np.average(abs(accuracy - confidence), weights=bins["rows"]))


def test_right_as_often_as_sure_is_no_calibration_error() -> None:
    said = np.tile([0.75, 0.25], (400, 1))
    assert findings.calibration(said, np.arange(400) % 4 // 3)[1] == pytest.approx(0)


def test_confusion_and_pairs_agree_with_the_errors() -> None:
    predicted = probabilities(LABELS, 0.7, 1).argmax(axis=1)
    pairs = findings.confused_pairs(confusion_matrix(LABELS, predicted))
    assert sum(count for *_, count in pairs) == (predicted != LABELS).sum()
