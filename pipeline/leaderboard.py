"""The local leaderboard of the embedded competition: the only code that looks at its answers."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.competition import deal
from pipeline.config import Competition


def leaderboard_accuracy(submission: Path, competition: Competition) -> float:
    """The share of the unlabelled digits that a checked submission file labels right."""
    answers = deal(competition.deal).test_labels
    labels = pd.read_csv(submission)[competition.prediction_column].to_numpy()
    return float(np.mean(labels == answers))
