"""Stage: blended probabilities -> submissions/submission.csv, checked; then its scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import tracking
from pipeline.config import Competition, Settings, load_settings, read_yaml
from pipeline.console import UserError, run_command, say
from pipeline.files import (
    BLENDED,
    METRICS,
    RAW,
    SCORES,
    SUBMISSION,
    TRAINED,
    TUNED,
    read_array,
    read_json,
    remove_unfinished,
    replacing,
    sha256_file,
    write_json,
)
from pipeline.leaderboard import leaderboard_accuracy
from pipeline.stage import stage, stage_seconds
from pipeline.summary import print_summary
from pipeline.tables import MEND, read_cells, write_csv


def check_submission(path: Path, sample: Path, competition: Competition) -> None:
    """Read a submission back and hold it against the competition's sample.

    Raises:
        UserError: another header, other ids or another order, or a label that is not a class.
    """
    columns = [competition.id_column, competition.prediction_column]
    submitted, wanted = read_cells(path, columns), read_cells(sample, columns)
    if len(submitted) != len(wanted):
        raise UserError(
            f"{path}: {len(submitted):,} rows where {sample} has {len(wanted):,}; {MEND}"
        )
    classes = {str(label) for label in range(competition.classes)}
    for row, ((found, label), (identity, _)) in enumerate(
        zip(submitted, wanted, strict=True), start=1
    ):
        if found != identity:
            raise UserError(
                f"{path}: row {row}, column {columns[0]}: {found[:20]!r} where {sample} has "
                f"{identity[:20]!r}; {MEND}"
            )
        if label not in classes:
            raise UserError(
                f"{path}: row {row}, column {columns[1]}: {label[:20]!r} is not one of the classes "
                f"0..{competition.classes - 1}; {MEND}"
            )


def write_submission(path: Path, probabilities: np.ndarray, competition: Competition) -> None:
    """Write the most probable class of each row, ids from 1."""
    labels = probabilities.argmax(axis=1)
    ids = np.arange(1, len(labels) + 1)
    write_csv(path, {competition.id_column: ids, competition.prediction_column: labels})


def show_whole(settings: Settings, metrics: dict[str, float], blended: dict[str, Any]) -> None:
    """Put the scores beside other executions', and link the stages that this one took over."""
    execution = tracking.execution(settings)
    before = {**stage_seconds(settings.recipes), "submission": None}  # this stage has not ended
    seconds = sum(each or 0.0 for each in before.values())
    tracking.log_metrics(execution, metrics | {"seconds": seconds})
    for name in settings.recipes:
        study = read_yaml(TUNED / f"{name}.yaml").get("study")
        if study:
            tracking.link(execution, f"tune {name}", study)
        key = read_json(TRAINED / name / "metrics.json", "run_key")["run_key"]
        tracking.link(execution, f"train {name}", key)
    tracking.link(execution, "ensemble", blended["run_key"])


def main() -> None:
    """Write the submission file, check it, and say how good it is."""
    settings = load_settings()
    competition = settings.competition
    with stage("submission"):
        tracking.start(settings)
        for file in (SUBMISSION, METRICS):
            remove_unfinished(file.parent, f".{file.stem}-*")
        blended = read_json(BLENDED / "metrics.json", *SCORES, "run_key")
        with replacing(SUBMISSION) as written:
            write_submission(written, read_array(BLENDED / "test.npy"), competition)
            check_submission(written, RAW / "sample_submission.csv", competition)
        metrics = {name: blended[name] for name in SCORES}
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
            show_whole(settings, metrics, blended)
    say(f"{SUBMISSION}: checked against the sample")
    print_summary(settings)


if __name__ == "__main__":
    run_command(main)
