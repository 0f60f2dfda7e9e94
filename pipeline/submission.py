"""Step 6: blended probabilities -> submissions/submission.csv, checked; then its scores."""

from pipeline.base.console import say
from pipeline.base.digests import sha256_file
from pipeline.base.files import read_array, remove_unfinished, replacing
from pipeline.base.paths import BLENDED, RAW, SCORES, SUBMISSION
from pipeline.base.settings import Settings, load_settings
from pipeline.data.leaderboard import leaderboard_accuracy
from pipeline.data.results import Blended, Scores, Trained, Tuned
from pipeline.data.submission_file import check_submission, read_labels, write_submission
from pipeline.evaluation.scores import errors
from pipeline.provenance.stage import stage, stage_seconds
from pipeline.recipes.files import recipe_path
from pipeline.report.summary import print_summary
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import Tracker


def score(settings: Settings, blended: Blended) -> Scores:
    """The blend's scores; for the embedded competition the local leaderboard's too."""
    local = None
    if settings.competition.source == "embedded":
        labels = read_labels(SUBMISSION, settings.competition)
        local = leaderboard_accuracy(labels, settings.competition)
    return Scores(
        cv_accuracy=blended.cv_accuracy,
        cv_accuracy_low=blended.cv_accuracy_low,
        cv_accuracy_high=blended.cv_accuracy_high,
        leaderboard_accuracy=local,
    )


def log_execution(execution: Run, settings: Settings, scores: dict[str, float], key: str) -> None:
    """Log the scores of the whole execution, and link the stages that DVC skipped in it."""
    before = {**stage_seconds(settings.recipes), "submission": None}  # this stage has not ended
    seconds = sum(each or 0.0 for each in before.values())
    execution.log_metrics(scores | {"seconds": seconds})
    for name in settings.recipes:
        study = Tuned.read(name).study
        if study:
            execution.link(f"tune {name}", study)
        execution.link(f"train {name}", Trained.read(name).run_key)
    execution.link("ensemble", key)


def main() -> None:
    """Write the submission file, check it, and say how good it is."""
    settings = load_settings()
    with stage("submission"):
        tracker = Tracker(settings)
        tracker.start()
        for file in (SUBMISSION, SCORES):
            remove_unfinished(file.parent, f".{file.stem}-*")
        blended = Blended.read()
        with replacing(SUBMISSION) as written:
            write_submission(written, read_array(BLENDED / "test.npy"), settings.competition)
            check_submission(written, RAW / "sample_submission.csv", settings.competition)
        scores = score(settings, blended)
        scores.write()
        digest, numbers = sha256_file(SUBMISSION), scores.model_dump(exclude_none=True)
        numbers |= {"cv_errors": errors(scores.cv_accuracy, blended.cv_rows)}
        board, rows = scores.leaderboard_accuracy, settings.competition.test_rows
        if board is not None and rows:
            numbers["leaderboard_errors"] = errors(board, rows)
        with tracker.run("submission", digest, tags={"submission_sha256": digest}) as run:
            run.log_metrics(numbers)
            run.log_file(SUBMISSION)
            for name in settings.recipes:
                tracker.execution().log_file(recipe_path(name))
            log_execution(tracker.execution(), settings, numbers, blended.run_key)
    say(f"{SUBMISSION}: checked against the sample")
    print_summary(settings)
