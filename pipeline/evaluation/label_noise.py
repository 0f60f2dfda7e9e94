"""Labels that may be wrong, by confident learning on out-of-fold probabilities."""

import numpy as np
import pandas as pd


def suspects(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """The rows whose label may be wrong: off the diagonal of the confident joint.

    The method is of Northcutt, Jiang and Chuang (2021).

    A class's threshold is the mean probability that its own rows get for it. A row counts for the
    most probable of the classes whose threshold it reaches; if that is not its label, the label is
    suspect. A row that reaches no threshold is only hard.

    Args:
        probabilities: float (rows, classes), of models that did not see the row.
        labels: int (rows,), as they are given.

    Returns:
        Columns row, label, predicted, margin; a row a suspect. The margin is the label's
        probability minus the highest other one; lowest, the most suspect, first.
    """
    rows = np.arange(len(labels))
    probabilities = probabilities.astype(np.float64)
    of_label = probabilities[rows, labels]
    # A class without rows has no threshold to reach.
    thresholds = np.full(probabilities.shape[1], np.inf)
    for label in np.unique(labels):
        thresholds[label] = of_label[labels == label].mean()
    confident = np.where(probabilities >= thresholds, probabilities, -np.inf)
    counted_for = confident.argmax(axis=1)
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    margin = of_label - others.max(axis=1)
    found = np.flatnonzero(np.isfinite(confident.max(axis=1)) & (counted_for != labels))
    found = found[np.argsort(margin[found], kind="stable")]
    return pd.DataFrame(
        {
            "row": found,
            "label": labels[found],
            "predicted": counted_for[found],
            "margin": margin[found].round(6),
        }
    )
