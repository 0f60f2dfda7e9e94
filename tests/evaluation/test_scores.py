import numpy as np
import pytest

from pipeline.evaluation.scores import accuracy, interval, paired_p_value


def test_accuracy_and_its_interval() -> None:
    probabilities = np.tile([0.2, 0.8], (1000, 1))
    labels = np.array([1] * 990 + [0] * 10)
    low, high = interval(probabilities, labels)
    assert accuracy(probabilities, labels) == 0.99
    # Wilson's interval of 990 in 1000, as statistics texts give it.
    assert (round(low, 4), round(high, 4)) == (0.9817, 0.9946)


@pytest.mark.parametrize(("won", "lost", "p_value"), [(5, 0, 1 / 32), (0, 5, 1.0), (0, 0, 1.0)])
def test_the_paired_test_counts_only_where_they_differ(won: int, lost: int, p_value: float) -> None:
    baseline = np.array([False] * won + [True] * (lost + 100))
    candidate = np.array([True] * won + [False] * lost + [True] * 100)
    assert paired_p_value(candidate, baseline) == pytest.approx(p_value)
