"""Stage: blended probabilities -> submissions/submission.csv, checked; then its scores."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import tracking
from pipeline.config import Competition, load_settings
from pipeline.console import UserError, run_command, say
from pipeline.files import (
    BLENDED,
    METRICS,
    RAW,
    SUBMISSION,
    read_array,
    read_json,
    remove_unfinished,
    replacing,
    sha256_file,
    write_json,
)
from pipeline.leaderboard import leaderboard_accuracy
from pipeline.stage import stage
from pipeline.summary import print_summary
from pipeline.tables import write_csv


def check_submission(path: Path, sample: Path, competition: Competition) -> None:
    """Read a submission back and hold it against the competition's sample.

    Raises:
        UserError: another header, other ids or another order, or a label that is not a class.
    """
    tables = []
    for file in (path, sample):
        try:
            tables.append(pd.read_csv(file, dtype=str, keep_default_na=False))
        except FileNotFoundError:
            raise UserError(f"{file} is missing; `dvc repro` makes it") from None
        except (ValueError, OSError) as error:
            raise UserError(f"{file} is not a good CSV file: {error}") from None
    submitted, wanted = tables
    columns = [competition.id_column, competition.prediction_column]
    for file, table in zip((path, sample), tables, strict=True):
        if list(table.columns) != columns:
            raise UserError(f"{file}: header: {list(table.columns)} is not {columns}")
    if len(submitted) != len(wanted):
        raise UserError(f"{path}: {len(submitted):,} rows where {sample} has {len(wanted):,}")
    ids = submitted[competition.id_column] != wanted[competition.id_column]
    classes = {str(label) for label in range(competition.classes)}
    labels = ~submitted[competition.prediction_column].isin(classes)
    for column, wrong in zip(columns, (ids, labels), strict=True):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            value = submitted[column].iloc[row]
            raise UserError(
                f"{path}: row {row + 1}, column {column}: {value!r} is not as it must be"
            )


def write_submission(path: Path, probabilities: np.ndarray, competition: Competition) -> None:
    """Write the most probable class of each row, ids from 1."""
    labels = probabilities.argmax(axis=1)
    ids = np.arange(1, len(labels) + 1)
    write_csv(path, {competition.id_column: ids, competition.prediction_column: labels})


def main() -> None:
    """Write the submission file, check it, and say how good it is."""
    settings = load_settings()
    competition = settings.competition
    with stage("submission"):
        for file in (SUBMISSION, METRICS):
            remove_unfinished(file.parent, f".{file.stem}-*")
        blended = read_json(BLENDED / "metrics.json")
        with replacing(SUBMISSION) as written:
            write_submission(written, read_array(BLENDED / "test.npy"), competition)
            check_submission(written, RAW / "sample_submission.csv", competition)
        wanted = ("cv_accuracy", "cv_accuracy_low", "cv_accuracy_high")
        metrics = {name: blended[name] for name in wanted}
        if competition.source == "embedded":
            metrics["leaderboard_accuracy"] = leaderboard_accuracy(
                pd.read_csv(SUBMISSION)[competition.prediction_column].to_numpy(), competition
            )
        write_json(METRICS, metrics)
        digest = sha256_file(SUBMISSION)
        tags = {"submission_sha256": digest}
        with tracking.run(settings, "submission", key=digest, tags=tags) as run_id:
            tracking.log_metrics(run_id, metrics)
            tracking.log_file(run_id, SUBMISSION)
    say(f"{SUBMISSION}: checked against the sample")
    print_summary(settings)


if __name__ == "__main__":
    run_command(main)
