"""submissions/submission.csv: written from probabilities, and checked against the sample."""

from pathlib import Path

import numpy as np

from pipeline.base.errors import UserError
from pipeline.base.settings import Competition
from pipeline.data.csv_files import MEND, read_cells, write_csv


def write_submission(path: Path, probabilities: np.ndarray, competition: Competition) -> None:
    """Write the most probable class of each row, ids from 1.

    Args:
        path: the CSV file.
        probabilities: float (test rows, classes).
        competition: names the columns.
    """
    labels = probabilities.argmax(axis=1)
    ids = np.arange(1, len(labels) + 1)
    write_csv(path, {competition.id_column: ids, competition.prediction_column: labels})


def read_labels(path: Path, competition: Competition) -> np.ndarray:
    """The labels of a checked submission file, int (rows,)."""
    columns = [competition.id_column, competition.prediction_column]
    return np.array([int(label) for _, label in read_cells(path, columns)])


def check_submission(path: Path, sample: Path, competition: Competition) -> None:
    """Compare a submission file with the competition's sample.

    Raises:
        UserError: another header, other ids or another order, or a label that is not a class.
    """
    columns = [competition.id_column, competition.prediction_column]
    submitted, wanted = read_cells(path, columns), read_cells(sample, columns)
    if len(submitted) != len(wanted):
        raise UserError(
            f"{path}: expected {len(wanted):,} rows as in {sample}, found {len(submitted):,}; "
            f"{MEND}"
        )
    classes = {str(label) for label in range(competition.classes)}
    for row, ((found, label), (identity, _)) in enumerate(
        zip(submitted, wanted, strict=True), start=1
    ):
        if found != identity:
            raise UserError(
                f"{path}: row {row}, column {columns[0]}: expected {identity[:20]!r} as in "
                f"{sample}, found {found[:20]!r}; {MEND}"
            )
        if label not in classes:
            raise UserError(
                f"{path}: row {row}, column {columns[1]}: {label[:20]!r} is not one of the classes "
                f"0..{competition.classes - 1}; {MEND}"
            )
