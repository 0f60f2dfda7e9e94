"""The table at the end of a run: how good it is, what it took, what comes next."""

from pathlib import Path

from rich.table import Table

from pipeline.base.console import console, duration
from pipeline.base.paths import SUBMISSION
from pipeline.base.settings import Settings, load_settings
from pipeline.data.results import Blended, Scores, Trained
from pipeline.evaluation.scores import beyond_chance, difference_error
from pipeline.provenance.stage import stage_seconds


def _scores(settings: Settings) -> Table:
    blended, final = Blended.read(), Scores.read()
    table = Table("accuracy", "", "note", title="Scores", title_justify="left")
    for name in settings.recipes:
        trained = Trained.read(name)
        for fold, score in enumerate(trained.folds, start=1):
            table.add_row(f"{name}, fold {fold}", f"{score:.5f}")
        weight = blended.members[name].weight
        note = f"spread over folds {trained.cv_accuracy_std:.5f}; weight {weight:.2f}"
        table.add_row(f"{name}, CV", f"{trained.cv_accuracy:.5f}", note)
    cv, low, high = final.cv_accuracy, final.cv_accuracy_low, final.cv_accuracy_high
    note = f"95% interval {low:.5f} to {high:.5f}, of {blended.cv_rows:,} rows"
    table.add_row("[bold]blend, CV", f"[bold]{cv:.5f}", note)
    board = final.leaderboard_accuracy
    if board is not None:
        note = "digits whose labels no stage has seen"
        table.add_row("[bold]local leaderboard", f"[bold]{board:.5f}", note)
        rows = settings.competition.test_rows or blended.cv_rows
        error = difference_error((cv, blended.cv_rows), (board, rows))
        beyond = "[red]beyond chance: is there a leak, or do the test rows differ?"
        note = beyond if beyond_chance(board - cv, error) else "within chance"
        difference = f"{board - cv:+.5f}"
        table.add_row("leaderboard minus CV", difference, f"standard error {error:.5f}; {note}")
    return table


def _times(settings: Settings) -> Table:
    table = Table("stage", "time", title="Time, when last run", title_justify="left")
    for name, seconds in stage_seconds(settings.recipes).items():
        table.add_row(name, "-" if seconds is None else duration(seconds))
    return table


def print_summary(settings: Settings) -> None:
    """Print the scores of the last run, the seconds of each stage, and the next commands."""
    scores = _scores(settings)
    console.print(scores)
    console.print(_times(settings))
    # As typed from the checkout, whether .venv is active or not.
    kaggle = ".venv/bin/kaggle" if Path(".venv/bin/kaggle").exists() else "kaggle"
    message = f"CV {Scores.read().cv_accuracy:.5f}"
    console.print(f"The submission file: {SUBMISSION}. Next:")
    console.print("  make ui                            # browse the runs in MLflow")
    console.print(f"  make submit MESSAGE='{message}'    # send it, and note it in the ledger")
    console.print("or, with Kaggle's own client:")
    console.print(
        f"  {kaggle} competitions submit -c {settings.competition.slug} "
        f"-f {SUBMISSION} -m '{message}'"
    )


def main() -> None:
    """Print the table of the last run again."""
    print_summary(load_settings())
